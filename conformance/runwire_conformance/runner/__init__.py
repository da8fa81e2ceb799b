"""Plays the cases against one server."""
