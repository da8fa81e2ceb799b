"""Conversations of a case with a server, over WebSocket, over an event stream, or over either."""
