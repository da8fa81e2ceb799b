"""HTTP fetch with an overall deadline, safe against deliberately slow servers."""

import asyncio
import contextlib
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

#: Bytes that are read at once, at most.
PIECE_BYTES = 65_536


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """Return what `work` returns in a thread that no exit waits for; raises what it raises.

    A thread of the event loop's own executor is waited for when the process ends, one of these is not.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        outcome = Future[T]()
        try:
            outcome.set_result(work())
        except Exception as problem:
            outcome.set_exception(problem)
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(settle, outcome)

    def settle(outcome: Future[T]) -> None:
        if result.done():
            return  # nobody waits any more
        if (problem := outcome.exception()) is not None:
            result.set_exception(problem)
        else:
            result.set_result(outcome.result())

    threading.Thread(target=run, daemon=True).start()
    return await result


def fetched(url: str, most_bytes: int, seconds: float) -> bytes:
    """Return what stands at a URL, up to a byte more than `most_bytes`; raises OSError and HTTPException. Blocks.

    A redirect is an error, and so is a body that is not there after `seconds`, however steadily it drips.
    """
    until = time.monotonic() + seconds
    body = bytearray()
    try:
        response = urllib.request.build_opener(_NoRedirect).open(url, timeout=seconds)
    except urllib.error.HTTPError as refused:
        with refused:
            raise OSError(f"answered {refused.code}") from None
    with response:
        while piece := response.read1(min(PIECE_BYTES, most_bytes + 1 - len(body))):
            body += piece
            if time.monotonic() > until:
                raise TimeoutError(f"not complete within {seconds:g} s")
    return bytes(body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is fetched comes from the given place and no other."""

    def redirect_request(self, *_: Any) -> None:
        return None
