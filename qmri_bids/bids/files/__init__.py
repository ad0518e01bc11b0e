"""What stands in files, read with every guard: text, tables and the headers of images."""
