"""The levels of analysis: participants and the group."""
