"""What a session holds: a folder for each kind of scan, and what finds them all."""
