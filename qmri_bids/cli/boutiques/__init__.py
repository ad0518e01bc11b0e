"""The Boutiques descriptor, made of the table of options."""
