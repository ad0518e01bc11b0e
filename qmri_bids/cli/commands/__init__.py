"""Commands of qmri-tools."""
