"""The server of a play: it does to a client what a scenario says."""
