"""Cancels and answers that the server has not shown to have."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runwire_client.problem import RunwireError
from runwire_client.retry import Retry


@dataclass(eq=False, slots=True)
class Unsent:
    """A `cancel` or an `input`, and the way on which it was sent, if any; `id` is that of the message."""

    kind: str
    body: dict[str, Any]
    id: str | None = None
    sent_by: object = None
    retry: Retry = field(default_factory=Retry)


#: What delivers a message now.
Way = Callable[[Unsent], None]


class Outbox:
    """Says each thing until the server has it.

    `way()` returns what delivers a message now, or None while nothing does; `emit` tells of refusals.
    """

    def __init__(self, way: Callable[[], Way | None], emit: Callable[[str, Any], None]) -> None:
        self._way = way
        self._emit = emit
        self._waiting: list[Unsent] = []

    def add(self, kind: str, body: dict[str, Any]) -> None:
        """Say something of type `kind` until the server has it."""
        self._waiting.append(Unsent(kind, body))
        self.deliver()

    def deliver(self) -> None:
        """Hand over what was not handed over on this way."""
        way = self._way()
        for one in list(self._waiting) if way is not None else []:
            if way is not None and one.sent_by != way:
                one.sent_by = way
                way(one)

    def answered(self, which: Callable[[Unsent], bool]) -> None:
        """Forget what `which` picks: the server has it."""
        self._waiting = [one for one in self._waiting if not which(one)]

    def refused(self, message_id: object, problem: RunwireError) -> None:
        """Note that what was sent as `message_id` was refused."""
        for one in list(self._waiting):
            if one.id is not None and one.id == message_id:
                self.undelivered(one, problem)

    def undelivered(self, one: Unsent, problem: RunwireError | None) -> None:
        """Say it again later, unless the server refused it for good ([ERR-6]); None is a fault on the way."""
        if problem is not None and not problem.retryable:
            self._waiting = [other for other in self._waiting if other is not one]
            told = {"code": problem.code, "data": str(problem)}
            request = {"request_id": one.body["request_id"]} if one.kind == "input" else {}
            self._emit("notice", told | request)
            return

        def again() -> None:
            one.sent_by = None
            self.deliver()

        wait = one.retry.delay(0, least_s=problem.retry_after_s if problem is not None else 0.0)
        asyncio.get_running_loop().call_later(wait, again)

    def clear(self) -> None:
        """Forget everything."""
        self._waiting = []
