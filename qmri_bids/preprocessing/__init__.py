"""From scanned cycles to aligned complex data, a B1 map and a mask: functions on arrays and affines."""
