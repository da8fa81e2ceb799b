"""What a WebSocket connection and an SSE stream have in common: messages come, and a case waits for them."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from runwire_conformance.bounds import LATE_S, Clock, Limits
from runwire_conformance.case import Broken, TooLate
from runwire_conformance.scripts import answer_text
from runwire_conformance.trace import Message, Trace, parsed

#: Seconds to wait for a direct answer of the protocol, which no agent stands behind.
ANSWER_S = 5.0

#: Seconds to wait for the next event of a run whose agent may be slow.
EVENT_S = 12.0

Predicate = Callable[[Message], bool]


class Conversation:
    """One connection or stream, with every message that came on it."""

    def __init__(self, trace: Trace, limits: Limits, clock: Clock) -> None:
        self.trace = trace
        self.limits = limits
        self.clock = clock
        self.messages: list[Message] = []
        self.ended_at: float | None = None
        self._news = asyncio.Condition()

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""
        return self.ended_at is not None

    def _received(self, text: str) -> Message | None:
        message = parsed(text)
        if message is None:
            return None
        message.at = time.monotonic()
        message.index = len(self.messages)
        self.messages.append(message)
        return message

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()

    @property
    def flooded(self) -> bool:
        """Whether more came than the judge is willing to hold, so that it has stopped reading."""
        return bool(self.trace.flooded_at)

    async def _finished(self) -> None:
        self.ended_at = time.monotonic()
        await self._announce()

    async def wait_until(self, condition: Callable[[], bool], seconds: float, expected: str) -> None:
        """Wait until `condition` holds; raises Broken after `seconds`, or when the conversation ended before."""

        def over() -> bool:
            return condition() or self.ended or self.flooded

        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(over)
        except TimeoutError:
            raise Broken(f"expected {expected}; waited {seconds:.2f} s; came {self.seen()}") from None
        if not condition():
            over_by = "" if self.flooded else f" the {self.trace.transport} connection ended;"
            raise Broken(f"expected {expected};{over_by} came {self.seen()}")

    async def message(
        self, wanted: Predicate, expected: str, after: int = -1, seconds: float = ANSWER_S
    ) -> Message:
        """Return the first message behind index `after` that is `wanted`; raises Broken."""

        place = after + 1
        match: Message | None = None

        def found() -> bool:
            nonlocal place, match
            while match is None and place < len(self.messages):
                message = self.messages[place]
                place += 1
                match = message if wanted(message) else None
            return match is not None

        await self.wait_until(found, seconds, expected)
        assert match is not None
        return match

    async def next_message(self, after: int, seconds: float = EVENT_S) -> Message:
        """Return the message behind index `after`, whatever it is; raises Broken."""
        return await self.message(lambda _: True, "a further message", after, seconds)

    async def within(
        self, seconds: float, since: float, wanted: Predicate, expected: str, after: int = -1
    ) -> Message:
        """Return the first `wanted` message, which must come at most `seconds` after `since` plus T.

        Raises TooLate when it came later, Broken when it did not come at all.
        """
        bound = f"{seconds:.2f} s plus T = {self.clock.tolerance:.2f} s"
        left = since + seconds + self.clock.tolerance + LATE_S - time.monotonic()
        message = await self.message(wanted, f"{expected} within {bound}", after, max(left, 0.0))
        took = message.at - since
        if took > seconds + self.clock.tolerance:
            raise TooLate(f"expected {expected} within {bound}; it came after {took:.2f} s")
        return message

    def unfinished(self) -> int:
        """Return how many bytes have come of a message that is not whole yet."""
        return 0

    def seen(self) -> str:
        """Return the last few messages in a few words, and what came of one that is not whole, for an assertion."""
        if self.trace.excess is not None:
            return f"{self.trace.excess[1]}; there the judge stopped reading"
        if self.flooded:
            return f"{self.trace.flooded_at} messages, after which the judge stopped reading"
        shown = [message.type or "a message without type" for message in self.messages[-4:]]
        told = "nothing" if not shown else "… " * (len(self.messages) > 4) + ", ".join(shown)
        begun = self.unfinished()
        return f"{told}, and {begun} bytes of a message that did not end" if begun else told


class Run:
    """One run as one conversation shows it."""

    def __init__(
        self, conversation: Conversation, run_id: str | None, after: int, opening: Message | None
    ) -> None:
        self.conversation = conversation
        self.run_id = run_id
        self.started_at = time.monotonic()
        #: The `started` or `resumed` that opened it here.
        self.opening = opening
        self._after = after
        self._looked = after + 1
        self._events: list[Message] = []
        self._read = 0

    @property
    def id(self) -> str:
        """The run's id; raises Broken when the server gave none."""
        if not isinstance(self.run_id, str):
            raise Broken("expected a run_id in started; there is none")
        return self.run_id

    @property
    def epoch(self) -> str:
        """The epoch of the run's log as it was told."""
        return str(self.opening.get("epoch")) if self.opening is not None else ""

    def belongs(self, message: Message) -> bool:
        """Whether a message is an event of this run; one without `run_id` counts for the only run."""
        return message.is_event and message.get("run_id", self.run_id) == self.run_id

    @property
    def events(self) -> list[Message]:
        """The events that came so far, up to where the run was opened here once more."""
        return list(self._look())

    def _look(self) -> list[Message]:
        messages = self.conversation.messages
        while self._looked < len(messages):
            message = messages[self._looked]
            reopened = message.type in {"started", "resumed"} and message.get("run_id") == self.run_id
            if reopened and self.opening is not None and message.index > self.opening.index and self._events:
                break
            if self.belongs(message):
                self._events.append(message)
            self._looked += 1
        return self._events

    @property
    def text(self) -> str:
        """The answer text so far."""
        return answer_text(self.events)

    @property
    def last_seq(self) -> int:
        """The `seq` of the last event so far, 0 before the first; raises Broken when it has none."""
        events = self.events
        if not events:
            return 0
        seq = events[-1].get("seq")
        if not isinstance(seq, int):
            raise Broken(f"expected a seq on {events[-1].type}; it has none")
        return seq

    async def next_event(self, seconds: float = EVENT_S) -> Message:
        """Return the next event that was not returned yet; raises Broken."""
        await self.conversation.wait_until(
            lambda: len(self._look()) > self._read, seconds, "a further event of the run"
        )
        self._read += 1
        return self._look()[self._read - 1]

    async def event(self, kind: str, seconds: float = EVENT_S) -> Message:
        """Return the first event of type `kind`; raises Broken."""
        return await self.conversation.message(
            lambda message: self.belongs(message) and message.type == kind, f"a {kind}", self._after, seconds
        )

    async def terminal(self, seconds: float = EVENT_S) -> Message:
        """Return the terminal; raises Broken."""
        return await self.conversation.message(
            lambda message: self.belongs(message) and message.is_terminal,
            "the run's terminal",
            self._after,
            seconds,
        )

    async def terminal_within(self, seconds: float, since: float) -> Message:
        """Return the terminal, which must come at most `seconds` plus T after `since`."""
        return await self.conversation.within(
            seconds,
            since,
            lambda message: self.belongs(message) and message.is_terminal,
            "the run's terminal",
            self._after,
        )

    async def whole(self, seconds: float = EVENT_S) -> list[Message]:
        """Return every event up to the terminal."""
        await self.terminal(seconds)
        return self.events

    async def until_text(self, text: str, seconds: float = EVENT_S) -> None:
        """Wait until the answer text begins with `text`."""
        await self.conversation.wait_until(
            lambda: self.text.startswith(text), seconds, f"answer text that begins with {text!r}"
        )


def without(message: Message, *members: str) -> dict[str, Any]:
    """Return a message's members but those named."""
    return {name: value for name, value in message.items() if name not in members}


def contents(events: Sequence[Message]) -> list[dict[str, Any]]:
    """Return a log in a form that does not depend on merging or on who read it.

    Adjacent events that may be merged are joined; `seq`, `first_seq`, `ts` and `trace_id` are left out.
    """
    result: list[dict[str, Any]] = []
    for event in events:
        plain = without(event, "seq", "first_seq", "ts", "trace_id")
        member = _text_member(plain)
        if result and member and without(Message(result[-1]), member) == without(Message(plain), member):
            result[-1] = plain | {member: str(result[-1].get(member)) + str(plain.get(member))}
        else:
            result.append(plain)
    return result


def _text_member(event: dict[str, Any]) -> str | None:
    if event.get("type") == "observation" and not event.get("partial"):
        return None
    return {"token": "data", "thinking": "content", "tool_delta": "data", "observation": "content"}.get(
        str(event.get("type"))
    )
