"""Peers that own the wire: they show every byte and can be told to misbehave."""
