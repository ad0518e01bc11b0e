"""Where the brain is: by a network, a template, or a given mask."""
