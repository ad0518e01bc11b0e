"""pc-bSSFP and the semisolid pool of one subject: what each does to the other."""
