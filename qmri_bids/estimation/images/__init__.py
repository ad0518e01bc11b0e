"""Images of other contrast from maps, and of bSSFP without bands, with their standard deviations."""
