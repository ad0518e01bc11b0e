"""T1 and M0 of a pc-bSSFP scan freed of magnetisation transfer by the pools of another scan of the session."""
