"""A BIDS dataset from a folder of converted images: what each file is, where it goes, and a table that says so."""
