"""Execution of the cases against one server."""
