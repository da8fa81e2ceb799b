"""Endpoint for stock AG-UI clients: the log of a run as AG-UI events."""
