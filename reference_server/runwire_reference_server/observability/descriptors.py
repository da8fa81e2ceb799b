"""File descriptor monitor: logs a warning before the process runs out of them."""

import asyncio
import logging
import time
from contextlib import suppress

log = logging.getLogger(__name__)

#: The share of the process's limit from which on it is said, and the seconds between two times that it is.
SHARE = 0.9
AGAIN_S = 60.0

_said_at = -AGAIN_S


def watch(transport: asyncio.BaseTransport) -> None:
    """Look at the number of a new connection's descriptor: the lowest that is free is taken first."""
    with suppress(ImportError):  # there is no such limit where there is no such module
        import resource

        raw = transport.get_extra_info("socket")
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if raw is not None and limit != resource.RLIM_INFINITY and raw.fileno() >= limit * SHARE:
            _say(raw.fileno() + 1, limit)


def _say(used: int, limit: int) -> None:
    global _said_at
    if time.monotonic() - _said_at >= AGAIN_S:
        _said_at = time.monotonic()
        log.warning("%d of %d file descriptors are in use; raise the limit, as with ulimit -n", used, limit)
