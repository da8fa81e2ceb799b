"""WebSocket and SSE: two transports over one session."""
