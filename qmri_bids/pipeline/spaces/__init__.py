"""Maps in the space of the T1w image, of a template, and by regions of an atlas."""
