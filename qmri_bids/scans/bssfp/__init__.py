"""Phase-cycled bSSFP runs."""
