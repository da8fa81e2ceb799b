"""Expectations of a client in a play, as functions over the observations."""
