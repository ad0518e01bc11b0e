"""The interactive viewer of a run: its maps, packed for the page, and what the page does with them."""
