"""From the table of options to a parser, a configuration file and settings."""
