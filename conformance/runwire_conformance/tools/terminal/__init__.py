"""Terminal client, from the first connection to the terminal event of its run."""
