"""The terminal client: what a careful client does, from the first connection to the terminal of its run."""
