"""White matter, grey matter and fluid, and what maps hold in them."""
