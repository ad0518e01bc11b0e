"""The steps that every kind of scan shares, as nodes and workflows."""
