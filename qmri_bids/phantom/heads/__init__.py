"""Who is scanned: heads of the template, of an image, and objects."""
