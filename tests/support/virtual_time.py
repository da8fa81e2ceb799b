"""An event loop whose time jumps to the next timer, so that a test of minutes takes no time and no luck.

Where a module of tests does nothing but compute and wait, it says so by its imports:

    from tests.support.virtual_time import anyio_backend, virtual_monotonic

and each of its `anyio` tests then runs on such a loop, with `time.monotonic` telling the loop's time. A test that is no
coroutine calls `run`. Nothing real may be waited for, no socket, thread or process: time would not pass for it.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import pytest

Result = TypeVar("Result")
P = ParamSpec("P")

BEGINS_AT = 1000.0
"""The time at which a loop begins: nothing should think that 0 means never."""


class NothingToWaitFor(AssertionError):
    """Every task waits, and no timer is set that could wake one."""


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Waits for no file: it lets the time pass that it was to wait for."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise NothingToWaitFor("every task waits for something that no timer will bring about")
        self.passed += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return BEGINS_AT + self._jumping.passed


def monotonic() -> float:
    """Return the time of the loop that is running, and the machine's where none is."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _REAL()
    return loop.time()


_REAL = time.monotonic


@contextmanager
def _told_by_the_loop() -> Iterator[None]:
    time.monotonic = monotonic
    try:
        yield
    finally:
        time.monotonic = _REAL


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on a loop whose time jumps; return what it returns."""
    with _told_by_the_loop(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def virtual_time(play: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make of a coroutine function a test that is played on such a loop."""

    @functools.wraps(play)
    def played(*arguments: P.args, **options: P.kwargs) -> None:
        run(play(*arguments, **options))

    return played


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Have the coroutine tests of a module run on such a loop."""
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture(autouse=True)
def virtual_monotonic() -> Iterator[None]:
    """Have `time.monotonic` tell the time of the loop."""
    with _told_by_the_loop():
        yield
