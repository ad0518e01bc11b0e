"""What is stated of a scan: sidecars, what a whole dataset lacks, and what converters write instead."""
