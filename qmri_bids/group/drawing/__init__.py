"""Pictures of a group as SVG: readable without scripts, and coloured and searched with them."""
