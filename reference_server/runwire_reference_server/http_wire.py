"""uvicorn's HTTP layer, with a bound on what waits for a caller who takes it slowly ([FLOW-2])."""

import asyncio
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol

from runwire_reference_server import descriptors

#: Bytes the kernel may hold for one reader; without a bound a Ping would wait behind megabytes.
KERNEL_BUFFER_BYTES = 128 * 1024

#: How much of that may be unsent; where the kernel knows this bound, it asks for more as soon as a little was taken,
#: and not only when a third is free: a reader that takes little is then seen to take it.
UNSENT_BYTES = 16 * 1024

#: Bytes that a stream hands over at once, and that may wait here before it has to wait itself. A caller that takes
#: so many in `pong_timeout_s` is slow, but not blocked ([FLOW-3]).
SLICE_BYTES = 8 * 1024


class HttpProtocol(H11Protocol):
    """One connection that speaks HTTP, until it is upgraded."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Bound what waits in the kernel and in front of it."""
        super().connection_made(transport)
        descriptors.watch(transport)
        transport.set_write_buffer_limits(high=SLICE_BYTES, low=SLICE_BYTES // 4)
        bound_kernel_buffer(transport)


def bound_kernel_buffer(transport: asyncio.BaseTransport) -> None:
    """Bound the kernel's share of unsent data."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        if hasattr(socket, "TCP_NOTSENT_LOWAT") and raw.family in {socket.AF_INET, socket.AF_INET6}:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
