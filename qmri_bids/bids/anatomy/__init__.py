"""The T1w image of a session, what fMRIPrep made of it, and the spaces that it opens."""
