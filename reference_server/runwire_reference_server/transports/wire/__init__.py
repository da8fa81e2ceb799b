"""HTTP, WebSocket and JSON encoding, without sockets."""
