"""Adapter for agents behind an AG-UI endpoint."""
