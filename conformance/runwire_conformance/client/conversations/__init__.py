"""Conversations with a server, as cases hold them: over a WebSocket, a stream, or either."""
