"""The brain mask: found, given, judged and kept."""
