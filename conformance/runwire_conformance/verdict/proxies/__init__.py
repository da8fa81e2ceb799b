"""Detection of a proxy's effects in front of the server."""
