"""A minimal, exemplary Runwire server: WebSocket, HTTP and SSE over one append-only log of events."""

__version__ = "1.0.0.dev0"
