"""Trace of a conversation: every frame in both directions, with times."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Literal, TypeVar

from runwire_conformance.trace.clock import now
from runwire_conformance.trace.http_request import HttpRequest
from runwire_conformance.trace.memory_budget import FLOOD_RECORDS, MemoryBudget
from runwire_conformance.trace.message import Message
from runwire_spec import registries

Transport = Literal["websocket", "sse", "http"]
Side = Literal["client", "server"]
Made = TypeVar("Made")

#: How a trace says that a stream is over, whether the server ended it or it broke off before.
RESPONSE_ENDED = "the response ended"

#: The headers of a response that a trace keeps: they tell what stands between the judge and the server.
PROXY_EVIDENCE_HEADERS = frozenset(
    {
        "server",
        "via",
        "content-type",
        "content-length",
        "content-encoding",
        "cache-control",
        "upgrade",
        "x-accel-buffering",
    }
)
#: Those that every response has to carry by some sentence (`rules/responses.py`), and how much of each is kept.
OWED_HEADERS = frozenset(
    {"vary", "retry-after", "access-control-allow-origin", "access-control-expose-headers"}
)
MOST_HEADER = 4096

#: The size of the smallest events, as a log holds them.
LEAST_EVENT_BYTES = 64

#: The share of `idle_s` that the judge sees of it at least, as what ended the use before came late.
NEARLY = 0.8

#: Seconds within which a message and a close may have crossed each other, even on a busy machine.
CROSSING_S = 1.0

#: The kinds of records that a client sends by itself.
SENT = frozenset({"text", "raw", "request"})

#: Seconds by which two clocks may differ about the age of a conversation.
AGE_S = 0.1

#: Close codes that say what was wrong with what the client sent, or tell it to stop, which no age is a reason for.
OF_THE_CLIENT = frozenset({1002, 1003, 1007, 1009})

#: The codes with which a connection may be closed for its age ([CLOSE-1], [CLOSE-3]).
AGEING_CODES = frozenset(
    code
    for code in (int(row["code"]) for row in registries()["close_codes"])
    if code not in OF_THE_CLIENT and not 4400 <= code < 4500
)


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that crossed the wire, or happened to it.

    `kind` is `text`, `binary`, `ping`, `pong`, `close`, `raw`, `request`, `response`, `block`, `open` or `lost`;
    `payload` is its text; `message` the JSON object in it, if any; `code` a close code or HTTP status.
    """

    at: float
    side: Side
    kind: str
    payload: str = ""
    message: Message | None = None
    code: int | None = None
    #: Of a response: the headers that are judged or tell what stands between, names in lower case.
    headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str:
        """Return the value of a header, several joined by commas; an empty string when it is absent."""
        return ", ".join(value for key, value in self.headers if key == name)

    @property
    def media_type(self) -> str:
        """The media type of a response in lower case, without parameters; an empty string when it names none."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def is_use(self) -> bool:
        """Whether a connection is in use when this happens: the client says more than a heartbeat, or a run ends."""
        if self.side == "server":
            return self.message is not None and self.message.is_terminal
        return self.kind == "text" and (self.message is None or self.message.type != "heartbeat")


def outline(count: int, most: int, marks: Iterable[int]) -> set[int]:
    """Return which of so many records show the most: the beginning, the end, and what stands around a mark."""
    head = most // 4
    shown = set(range(count)[:head]) | set(range(count)[max(0, count - most + head) :])
    return shown.union(*({place - 1, place, place + 1} for place in marks))


@dataclass(slots=True)
class Trace:
    """A conversation. `began` is the clock at its first record; times are seconds on the monotonic clock."""

    transport: Transport
    title: str
    began: float = field(default_factory=now)
    records: list[Record] = field(default_factory=list)
    #: When the judge stopped reading, if it did: silence is then its own.
    not_reading: bool = False
    #: Whether what is at the other end was killed on purpose, and could say no goodbye.
    peer_killed: bool = False
    #: The request that opened it, where the judge sent one by HTTP and in good order.
    request: HttpRequest | None = None
    #: The run that a request began without a stream, or an empty string.
    begun_by_request: str = ""
    #: Whether the judge cancelled at its end whatever run was followed on it.
    cancelled_all: bool = False
    #: Whether the times of the records are those at which things happened.
    timed: bool = True
    #: T of chapter 17 over the whole conversation, in seconds; 0 while it lasts, and where nobody measured it.
    tolerance: float = 0.0
    #: Whether nothing is missing between the records; where something may be, each message is judged by itself.
    whole: bool = True
    #: How many records there were when more had come than the judge is willing to hold; 0 if it was never so.
    flooded_at: int = 0
    #: What was more than the judge holds of one message: the requirement that it breaks, and what it was.
    excess: tuple[str, str] | None = None
    budget: MemoryBudget = field(default_factory=MemoryBudget)
    #: By the place of a record: the requirement that was found broken there.
    marks: dict[int, str] = field(default_factory=dict)
    #: By the place of a record: how many before it are not kept any more.
    gaps: dict[int, int] = field(default_factory=dict)
    #: Bytes of one run's events that no server may send, whatever its logs hold; 0 when nobody said.
    endless_bytes: int = 0
    #: Bytes of events that came, those that were counted and not kept included.
    received_bytes: int = 0
    #: What `remembered` functions made of the records, each with the number of records of which it was made.
    made: dict[str, tuple[int, Any]] = field(default_factory=dict, repr=False, compare=False)

    def add(
        self,
        side: Side,
        kind: str,
        payload: str = "",
        message: Message | None = None,
        code: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Record:
        """Note something, now."""
        record = Record(now(), side, kind, payload, message, code, headers)
        self.records.append(record)
        self.budget.add(payload, message is not None)
        return record

    def flood(self) -> bool:
        """Tell whether more came than the judge is willing to hold, and note it."""
        if not self.flooded_at and not self.budget.has_room(len(self.records)):
            self.flooded_at = len(self.records)
            self.not_reading = True
            self.received_bytes = sum(
                len(record.payload)
                for record in self.records
                if record.side == "server" and record.message is not None and record.message.is_event
            )
        return bool(self.flooded_at)

    def count(self, size: int) -> bool:
        """Count bytes that came and are not kept; tell whether they are now more than any server may send."""
        self.received_bytes += size
        return self.is_endless

    @property
    def is_endless(self) -> bool:
        """Whether so much came of the events of runs as no log may hold, or of one message, which is a proof."""
        if self.excess is not None:
            return True
        return bool(self.flooded_at) and 0 < self.endless_bytes < self.received_bytes

    def exceed(self, requirement: str, text: str) -> None:
        """Note that more came of one message than the judge holds, so that it reads no further."""
        self.excess, self.not_reading = (requirement, text), True
        self.flooded_at = max(len(self.records), FLOOD_RECORDS)

    def keep(self, most: int) -> None:
        """Forget all but the first `most` records."""
        self._keep(set(range(most)))

    def shorten(self, most: int) -> None:
        """Forget the middle of a long conversation: `most` records are kept, and what stands around a mark."""
        self._keep(outline(len(self.records), most, self.always_kept))

    def _keep(self, places: set[int]) -> None:
        kept: list[Record] = []
        marks, gaps, gap = {}, {}, 0
        for place, record in enumerate(self.records):
            gap += self.gaps.get(place, 0)
            if place in places:
                if gap:
                    gaps[len(kept)] = gap
                    gap = 0
                if place in self.marks:
                    marks[len(kept)] = self.marks[place]
                kept.append(record)
            else:
                gap += 1
                self.budget.release(record.payload, record.message is not None)
        gap += self.gaps.get(len(self.records), 0)
        if gap:
            gaps[len(kept)] = gap
        marks |= {place: name for place, name in self.marks.items() if place < 0}
        self.records, self.marks, self.gaps = kept, marks, gaps
        self.made.clear()

    @property
    def always_kept(self) -> set[int]:
        """The places of the records that are shown of however long a conversation: what was broken, and its end."""
        return self.marks.keys() | {
            place for place, record in enumerate(self.records) if record.kind in {"close", "lost"}
        }

    def forget(self) -> None:
        """Hold nothing of it against the memory of the judge any more: it was judged, and what is kept is short."""
        for record in self.records:
            self.budget.release(record.payload, record.message is not None)
        self.budget = MemoryBudget()

    @property
    def length(self) -> int:
        """How many records there were."""
        return len(self.records) + sum(self.gaps.values())

    @property
    def sent(self) -> list[Record]:
        """What the client sent by itself: messages and requests, whole or not, but no Ping, Pong or Close."""
        return [record for record in self.records if record.side == "client" and record.kind in SENT]

    def messages(self, side: Side) -> Iterator[Message]:
        """Yield the messages that one side sent, in order."""
        for record in self.records:
            if record.side == side and record.message is not None:
                yield record.message

    def limit_expired(self, idle_s: float, run_s: float, input_s: float) -> bool:
        """Whether a bound of the server ended what the judge had begun: a connection, a run or a question.

        On a busy machine that is the judge's own slowness.
        """
        return (
            self.closed_for_idleness(idle_s)
            or self._lasted("run_id", "started", ("error", "code", "timeout")) >= run_s * NEARLY
            or self._lasted("request_id", "input_request", ("input_closed", "outcome", "expired"))
            >= input_s * NEARLY
        )

    def _lasted(self, name: str, opening: str, closing: tuple[str, str, str]) -> float:
        """Return for how many seconds the first had lasted whose time was over, -1 when none was.

        `opening` is the type of the message that begins one, `name` the member that tells one from another, `closing`
        the type, member and value of the message that says so ([RUN-15], [INPUT-3]).
        """
        began: dict[Any, float] = {}
        kind, member, value = closing
        for record in self.records:
            message = record.message
            if message is None or record.side != "server":
                continue
            if message.type == opening:
                began.setdefault(message.get(name), record.at)
            elif message.type == kind and message.get(member) == value:
                return record.at - began.get(message.get(name), 0.0)
        return -1.0

    def hit_log_limit(self, log_bytes: float) -> bool:
        """Whether a run was cut as its log was full, as far as its events show it ([RUN-34])."""
        sizes: dict[Any, int] = {}
        for record in self.records:
            message = record.message
            if message is None or record.side != "server" or not message.is_event:
                continue
            run_id = message.get("run_id")
            if message.type == "done" and message.get("reason") == "length":
                # Of merged events the log has each by itself.
                seq = message.get("seq")
                least = seq * LEAST_EVENT_BYTES if isinstance(seq, int) else 0
                return max(sizes.get(run_id, 0), least) >= log_bytes / 2
            sizes[run_id] = sizes.get(run_id, 0) + len(record.payload)
        return False

    def closed_for_age(self, stream_s: float) -> bool:
        """Whether the server ended it for its age, `stream_s` or more, as it may ([LIMIT-13], [CLOSE-10])."""
        end = next((record for record in self.records if record.kind in {"close", "lost"}), None)
        if end is None or end.side != "server" or end.at - self.began < stream_s - AGE_S:
            return False
        if self.transport == "sse":
            over = any(message.is_terminal for message in self.messages("server"))
            return end.payload == RESPONSE_ENDED and not over
        drains = any(message.get("code") == "draining" for message in self.messages("server"))
        return end.code in AGEING_CODES and not drains

    def closed_for_idleness(self, idle_s: float) -> bool:
        """Whether the server closed with 1000 after nothing but heartbeats had happened for `idle_s` ([LIMIT-5]).

        On a busy machine that is the judge's own slowness.
        """
        close = next((r for r in self.records if r.kind == "close"), None)
        if close is None or close.side != "server" or close.code != 1000:
            return False  # nobody closed, the client did, or the server for another reason
        # What the client sent last may have crossed the close, and the end of a run was under way for a while.
        uses = [
            r.at for r in self.records if r.is_use and (r.side == "server" or r.at <= close.at - CROSSING_S)
        ]
        return close.at - max(uses, default=self.began) >= idle_s * NEARLY


def remembered(function: Callable[[Trace], Made]) -> Callable[[Trace], Made]:
    """Have what a function makes of a trace remembered until records come or go, as many rules ask for the same."""

    name = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def cached(trace: Trace) -> Made:
        known = trace.made.get(name)
        if known is None or known[0] != len(trace.records):
            known = trace.made[name] = (len(trace.records), function(trace))
        made: Made = known[1]
        return made

    return cached
