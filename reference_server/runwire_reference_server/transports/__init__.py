"""WebSocket and HTTP transports over one session."""
