"""Bytes and texts of HTTP, WebSocket and JSON, without a socket."""
