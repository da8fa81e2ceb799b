"""Random and malformed conversations."""
