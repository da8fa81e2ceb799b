"""Whether connections break off at one age is looked at on one that is never silent."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from runwire_conformance.runner.phases.reset_check import _age_at_end
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.trace import Record, Trace
from tests.support.virtual_time import anyio_backend, virtual_monotonic  # noqa: F401 - what makes time jump here

pytestmark = pytest.mark.anyio

#: Seconds at which the connections of the cases broke off.
AGE_S = 1.0


class Held:
    """A connection that something ends: by how old it is, and how long nothing was said."""

    def __init__(self, cut: Callable[[float, float], bool]) -> None:
        self._cut = cut
        self.trace = Trace("websocket", "a talk")
        self.said_at = self.trace.began
        self.ended_at: float | None = None

    @property
    def ended(self) -> bool:
        """Whether it has been ended."""
        if not self.trace.records and self._cut(now() - self.trace.began, now() - self.said_at):
            self.ended_at = now()
            self.trace.records.append(Record(self.ended_at, "server", "lost"))
        return bool(self.trace.records)

    async def send(self, _message: dict[str, Any]) -> None:
        self.said_at = now()


@pytest.mark.parametrize(
    ("cut", "by_age"),
    [
        (lambda age, _silence: age > AGE_S, True),
        (lambda _age, silence: silence > AGE_S, False),
    ],
    ids=["a server that ends every connection at an age", "a proxy that cuts silence"],
)
async def test_a_connection_that_is_never_silent_shows_who_cuts(
    cut: Callable[[float, float], bool], by_age: bool
) -> None:
    held = Held(cut)

    async def connect() -> Held:
        return held

    async def end() -> None:
        pass

    target: Any = SimpleNamespace(
        connect=connect, end=end, clock=SimpleNamespace(tolerance=0.5), traces=[held.trace]
    )

    assert (await _age_at_end(target, AGE_S) is not None) is by_age
