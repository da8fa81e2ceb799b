"""Wait for a server that was just started."""

import socket
import time
from urllib.parse import urlsplit

PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
PAUSE_S = 0.2


def listens_within(url: str, seconds: float) -> bool:
    """Return whether something listens at the URL's host and port before `seconds` are over; raises ValueError."""
    parts = urlsplit(url)
    place = (parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0))
    if not all(place):
        raise ValueError(url)
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(place, timeout=max(PAUSE_S, until - time.monotonic())).close()
        except OSError:
            if time.monotonic() >= until:
                return False
            time.sleep(PAUSE_S)
        else:
            return True
