"""Traces of connections, their memory budget, and redaction."""
