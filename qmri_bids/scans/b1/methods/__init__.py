"""B1 methods: what each asks of a scan, one file a method."""
