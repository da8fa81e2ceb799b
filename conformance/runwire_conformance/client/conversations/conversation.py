"""Common base of WebSocket connections and event streams: a queue of messages that a case waits for."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

from runwire_conformance.case import (
    Broken,
    DeadlineMissed,
    NoServerFault,
    NotExercised,
    NotJudged,
    TooUnsteady,
)
from runwire_conformance.client.footprint import begun_in, ended_in
from runwire_conformance.trace.clock import LATE_S, Interval, now
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message, parsed
from runwire_conformance.trace.trace import Trace


class DefaultTimeout(float):
    """Seconds for which a case waits for what no sentence states a time for.

    That nothing came within them proves nothing: a case is played again, alone, and then waits as long as its user.
    """


#: Seconds to wait for a direct answer of the protocol, which no agent stands behind.
ANSWER_S = DefaultTimeout(5.0)

#: Seconds to wait for the next event of a run whose agent may be slow.
EVENT_S = DefaultTimeout(12.0)

#: Seconds to wait for the end of a run that has much to say or to compute.
LONG_S = DefaultTimeout(20.0)


def beyond(seconds: float) -> DefaultTimeout:
    """Return how long to wait for what comes at its own time, when a bound or a script of so many seconds is over."""
    return DefaultTimeout(seconds + EVENT_S)


Predicate = Callable[[Message], bool]

#: Sentences that order something a case only leans on.
Owners = tuple[str, ...]

#: How much is shown of what a client sent.
MOST_SHOWN = 120

#: What orders that the events of a run come, and that it ends.
EVENTS: Owners = ("RUN-2", "RUN-1", "EVENT-4", "SCRIPT-1")
END: Owners = ("RUN-27", "RUN-4", "RUN-13", "SCRIPT-2")

#: Bytes that come while something else is waited for above which the wait may be the judge's own slowness in reading,
#: when more was coming less than these seconds before.
MUCH_BYTES, STILL_S = 8_000_000, 1.0

#: Why no heartbeat was to be seen ([BEAT-1]).
NO_SILENCE = "messages of the server's own left no silence for a heartbeat"


class Conversation:
    """One connection or stream, with every message that came on it."""

    def __init__(self, trace: Trace, limits: Limits, clock: Interval) -> None:
        self.trace = trace
        self.limits = limits
        self.clock = clock
        self.messages: list[Message] = []
        #: Bytes of the messages that came.
        self.received_bytes = 0
        self.ended_at: float | None = None
        #: Seconds that the user will wait for what has no time of its own, where the case is played again for that.
        self.patience_s = 0.0
        self._news = asyncio.Condition()

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""
        return self.ended_at is not None

    def _received(self, text: str) -> Message | None:
        message = parsed(text)
        if message is None:
            return None
        message.at = now()
        message.index = len(self.messages)
        self.messages.append(message)
        self.received_bytes += len(text)
        return message

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()

    @property
    def flooded(self) -> bool:
        """Whether more came than the judge is willing to hold, and nothing further is counted."""
        return bool(self.trace.flooded_at) and (self.ended or self.trace.is_endless)

    async def _finished(self) -> None:
        self.ended_at = now()
        self.trace.tolerance = self.clock.tolerance_since(self.trace.began)
        await self._announce()

    async def wait_until(
        self,
        condition: Callable[[], bool],
        seconds: float,
        expected: str,
        owners: Owners = (),
        *,
        certain: bool = False,
    ) -> None:
        """Wait until `condition` holds; raises Broken after `seconds`, or when the conversation ended before.

        `owners` are the sentences that order it, where it is no more than a precondition of the case, and `certain`
        whether nothing that a case does bears on it.
        """

        def over() -> bool:
            return condition() or self.ended or self.flooded

        unstated = isinstance(seconds, DefaultTimeout)
        if unstated:
            seconds = max(seconds, self.patience_s)
        before = self.received_bytes
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(over)
        except TimeoutError:
            self._expect_to_keep_up(self.received_bytes - before, seconds)
            shown = f"waited {seconds:.2f} s; got {self.seen()}{self.last_sent()}"
            problem = Broken(f"expected {expected}; {shown}", owners, certain=certain)
            problem.absent = unstated
            raise self._missed(problem) from None
        if not condition():
            if self.trace.flooded_at and not self.trace.is_endless:
                raise NotJudged(
                    f"a conversation was longer than the {self.trace.flooded_at} records that are kept"
                )
            self._expect_use()
            over_by = "" if self.flooded else f" the {self.trace.transport} connection ended;"
            shown = f"expected {expected};{over_by} got {self.seen()}"
            raise self._missed(Broken(shown, (*self.ended_by(), *owners)))

    def _expect_use(self) -> None:
        """Raise NoServerFault when the server had closed a connection that the judge left idle for too long."""

    def _expect_to_keep_up(self, came: int, seconds: float) -> None:
        """Raise NoServerFault when so much came in a wait that the rest may only be unread by the judge."""
        if came < MUCH_BYTES or now() - self.messages[-1].at > STILL_S:
            return
        problem = TooUnsteady(
            f"the judge had read {came / 1e6:.0f} MB in {seconds:.0f} s when it stopped waiting, and more was coming; "
            f"a smaller log_bytes (advertised {self.limits['log_bytes']:.15g}) spares it that"
        )
        raise NoServerFault(problem)

    def _missed(self, problem: Broken) -> Broken:
        """Return what is raised for something that did not come."""
        return problem

    def ended_by(self) -> Owners:
        """Return the sentences that order that a conversation lasts, and that the end of this one may break."""
        if self.trace.transport != "websocket":
            return ("SSE-10",)
        last = next((r for r in reversed(self.trace.records) if r.kind in {"close", "lost"}), None)
        if last is not None and last.kind == "lost":
            return ("CLOSE-2",)
        if last is None or last.code != 1000:
            return ("LIMIT-5", "CLOSE-10", "CLOSE-1")
        return (
            ("LIMIT-6", "LIMIT-5")
            if self.follows() and not self.trace.not_reading
            else ("LIMIT-5", "LIMIT-6")
        )

    def follows(self) -> bool:
        """Whether a run was opened here whose terminal has not come."""
        return not set(begun_in(self.trace)) <= set(ended_in(self.trace))

    async def message(
        self,
        wanted: Predicate,
        expected: str,
        after: int = -1,
        seconds: float = ANSWER_S,
        owners: Owners = (),
        *,
        certain: bool = False,
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

        await self.wait_until(found, seconds, expected, owners, certain=certain)
        assert match is not None
        return match

    async def next_message(self, after: int, seconds: float = EVENT_S) -> Message:
        """Return the message behind index `after`, whatever it is; raises Broken."""
        return await self.message(lambda _: True, "a further message", after, seconds)

    async def within(
        self,
        seconds: float,
        since: float,
        wanted: Predicate,
        expected: str,
        after: int = -1,
        owners: Owners = (),
        *,
        certain: bool = False,
    ) -> Message:
        """Return the first `wanted` message, which must come at most `seconds` after `since` plus T.

        Raises DeadlineMissed when it came later, Broken when it did not come at all.
        """
        message: Message | None = None
        while message is None:
            # T grows while the judge itself is slow, so the wait may have to go on.
            tolerance = self.clock.tolerance_since(since)
            bound = f"{seconds:.2f} s plus T = {tolerance:.2f} s"
            left = since + seconds + tolerance + LATE_S - now()
            try:
                message = await self.message(
                    wanted, f"{expected} within {bound}", after, max(left, 0.0), owners, certain=certain
                )
            except Broken:
                if self.ended or since + seconds + self.clock.tolerance_since(since) + LATE_S <= now():
                    raise
        took, tolerance = message.at - since, self.clock.tolerance_since(since)
        if took > seconds + tolerance:
            bound = f"{seconds:.2f} s plus T = {tolerance:.2f} s"
            late = f"expected {expected} within {bound}; it arrived after {took:.2f} s"
            raise DeadlineMissed(late, owners, certain=certain)
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

    def last_sent(self) -> str:
        """Return the last that the judge had sent, for an assertion of something that did not come."""
        shown = [record.payload[:MOST_SHOWN] or record.kind for record in self.trace.sent[-2:]]
        return f"; sent last: {', then '.join(shown)}" if shown else ""

    async def heartbeat(self, after: int = -1, *, since: float | None = None, owners: Owners = ()) -> Message:
        """Return the first heartbeat behind index `after`, of those that come in the server's silence ([BEAT-1]).

        Raises NotExercised when other messages left no such silence.
        """
        stream = self.trace.transport == "sse"
        own = owners or (("SSE-12",) if stream else ("BEAT-3", "BEAT-1"))
        begun = now() if since is None else since
        try:
            return await self.within(
                self.limits.silence,
                begun,
                lambda message: message.type == "heartbeat",
                "a heartbeat",
                after,
                own,
                certain=True,
            )
        except Broken:
            if self.spoke_throughout(begun):
                raise NotExercised(NO_SILENCE) from None
            idle_s, silence = self.limits["idle_s"], self.limits.silence
            if self.trace.closed_for_idleness(idle_s) and idle_s < silence:
                raise NotExercised(
                    f"idle_s (advertised {idle_s:.15g}) is over before the silence is; set it to {silence:.15g} or more"
                ) from None
            raise

    def spoke_throughout(self, since: float) -> bool:
        """Whether the server sent other messages so often since then that no heartbeat was overdue ([BEAT-1])."""
        moments = [since, *(message.at for message in self.messages if message.at >= since), now()]
        return max(later - earlier for earlier, later in pairwise(moments)) < self.limits.silence
