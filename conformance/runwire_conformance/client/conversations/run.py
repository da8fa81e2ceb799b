"""View of one run in one conversation, with comparable parts of its log."""

import json
from collections.abc import Sequence
from typing import Any

from runwire_conformance.case import Broken, NotExercised
from runwire_conformance.client.conversations.conversation import END, EVENT_S, EVENTS, Conversation, Owners
from runwire_conformance.client.scripts import answer_text
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.message import FINISHED, Message


class Run:
    """One run as one conversation shows it."""

    def __init__(
        self, conversation: Conversation, run_id: str | None, after: int, opening: Message | None
    ) -> None:
        self.conversation = conversation
        self.run_id = run_id
        self.started_at = now()
        #: The `started` or `resumed` that opened it here.
        self.opening = opening
        #: What orders that a cancel is heeded which the judge sent elsewhere than in this conversation.
        self.stopped_by: Owners = ()
        self._after = after
        self._looked = after + 1
        self._events: list[Message] = []
        self._read = 0

    @property
    def id(self) -> str:
        """The run's id; raises Broken when the server gave none."""
        if not isinstance(self.run_id, str):
            raise Broken("expected a run_id in started; there is none", ("MSG-3",))
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
            came = f"got {json.dumps(seq)[:100]}" if "seq" in events[-1] else "it has none"
            raise Broken(f"expected an integer seq on {events[-1].type}; {came}", ("RUN-27", "MSG-3"))
        return seq

    async def next_event(self, seconds: float = EVENT_S) -> Message:
        """Return the next event that was not returned yet; raises Broken."""
        await self.conversation.wait_until(
            lambda: len(self._look()) > self._read, seconds, "a further event of the run", EVENTS
        )
        self._read += 1
        return self._look()[self._read - 1]

    async def event(self, kind: str, seconds: float = EVENT_S) -> Message:
        """Return the first event of type `kind`; raises Broken."""
        return await self.conversation.message(
            lambda message: self.belongs(message) and message.type == kind,
            f"a {kind}",
            self._after,
            seconds,
            EVENTS,
        )

    async def terminal(self, seconds: float = EVENT_S) -> Message:
        """Return the terminal; raises Broken."""
        return await self.conversation.message(
            lambda message: self.belongs(message) and message.is_terminal,
            "the run's terminal",
            self._after,
            seconds,
            self.enders,
        )

    @property
    def enders(self) -> Owners:
        """The sentences that order the end of the run as it stands: those of a cancel once the judge sent one."""
        asked = (
            message for message in self.conversation.trace.messages("client") if message.type == "cancel"
        )
        named = any(message.get("run_id", self.run_id) == self.run_id for message in asked)
        return (*self.stopped_by, "CANCEL-2", "CANCEL-1", *END) if named or self.stopped_by else END

    async def terminal_within(self, seconds: float, since: float) -> Message:
        """Return the terminal, which must come at most `seconds` plus T after `since`."""
        return await self.conversation.within(
            seconds,
            since,
            lambda message: self.belongs(message) and message.is_terminal,
            "the run's terminal",
            self._after,
            self.enders,
        )

    async def whole(self, seconds: float = EVENT_S) -> list[Message]:
        """Return every event up to the terminal."""
        await self.terminal(seconds)
        return self.events

    async def until_text(self, text: str, seconds: float = EVENT_S) -> None:
        """Wait until the answer text begins with `text`."""
        await self.conversation.wait_until(
            lambda: self.text.startswith(text), seconds, f"answer text that begins with {text!r}", EVENTS
        )


def is_live(run: Run) -> bool:
    """Whether a run had not ended when a reader joined it, as the `resumed` that opened it says."""
    return run.opening is not None and run.opening.string("status") not in FINISHED


def without(message: Message, *members: str) -> dict[str, Any]:
    """Return a message's members but those named."""
    return {name: value for name, value in message.items() if name not in members}


def behind(events: Sequence[Message], cursor: int) -> list[Message]:
    """Return the events behind a cursor; raises NotExercised where the server merged some across it ([RESUME-23])."""
    rest = [event for event in events if event["seq"] > cursor]
    if rest and rest[0].get("first_seq", rest[0]["seq"]) <= cursor:
        raise NotExercised(f"the server merged events across the cursor {cursor}")
    return rest


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
