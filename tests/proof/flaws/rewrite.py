"""What a rewrite can do to the traffic: the hooks of the proxy and the actions they answer with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .frames import Frame
from .http1 import Request, Response

if TYPE_CHECKING:
    from .link import Link

Message = dict[str, Any]

EVENTS = frozenset(
    {
        "token", "replace", "thinking", "tool_delta", "tool_call", "observation",
        "input_request", "input_closed", "done", "error",
    }
)  # fmt: skip


def is_event(message: Mapping[str, Any]) -> bool:
    """Tell whether a message is an entry of a run's log."""
    return message.get("type") in EVENTS and "seq" in message


def is_terminal(message: Mapping[str, Any]) -> bool:
    """Tell whether a message ends a run."""
    return message.get("type") in {"done", "error"} and "seq" in message


def refusal(code: str, asked: Mapping[str, Any], *, retryable: bool = False) -> Message:
    """Return the message that refuses `asked`."""
    answer: Message = {"type": "error", "data": "refused", "code": code, "retryable": retryable}
    return answer if "id" not in asked else {**answer, "re": asked["id"]}


def less(message: Mapping[str, Any], *names: str) -> Message:
    """Return `message` without some of its members."""
    return {name: value for name, value in message.items() if name not in names}


def is_refusal(message: Mapping[str, Any]) -> bool:
    """Tell whether a message refuses one of the client's."""
    return message.get("type") == "error" and "seq" not in message


@dataclass(frozen=True, slots=True)
class Text:
    """A text message of exactly this text, however little JSON it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames to send as they are."""

    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes to put into an SSE stream as they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Hold the stream for some seconds, and everything behind it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold the stream until the condition is met."""

    until: Callable[[], bool]
    at_most: float = 30.0


@dataclass(frozen=True, slots=True)
class Later:
    """Send a message after some seconds, while everything else goes on."""

    seconds: float
    message: Message


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection with a Close frame of this code, a stream by its end."""

    code: int | None = 1000


@dataclass(frozen=True, slots=True)
class Drop:
    """Break the connection off."""


@dataclass(frozen=True, slots=True)
class Aside:
    """Send a message of a client to the server on a WebSocket connection of the proxy's own."""

    message: Message


@dataclass(frozen=True, slots=True)
class Answer:
    """Send a message to the judge, from a hook that looks at the judge's own messages."""

    message: Message


@dataclass(frozen=True, slots=True)
class Up:
    """Send a message to the server, from a hook that looks at the server's messages."""

    message: Message


Action = Answer | Up | Message | Text | Frames | Block | Pause | Hold | Later | Close | Drop | Aside


class Rewrite:
    """Forwards everything. A flaw overrides the hooks it needs.

    One instance lives as long as its proxy and sees all connections. A hook must not change the object it was
    given: what it hands on as it came keeps its bytes.
    """

    #: Whether the server hears of a message only when it is whole, however large.
    holds_whole_messages = False
    #: Whether the server sees nothing of a frame until it is whole, however slowly it comes.
    holds_frames = False

    def __init__(self) -> None:
        self.seen: Counter[object] = Counter()
        self.limits: Mapping[str, float] = {}
        """What the server behind the proxy advertises."""
        self.credentials: Mapping[str, str] = {}
        """The judge's tokens by their hooks, and `secret`, the key of JSON Web Tokens."""

    def nth(self, *what: object) -> int:
        """Count how often this was asked for `what`, beginning with 1."""
        key = tuple(thing if isinstance(thing, Hashable) else str(thing) for thing in what)
        self.seen[key] += 1
        return self.seen[key]

    def request(self, request: Request) -> Request | Response:
        """Rewrite a request, or answer it in the server's place."""
        return request

    def response(self, request: Request, response: Response) -> Response:  # noqa: ARG002
        """Rewrite a response; for a stream and a handshake only its head."""
        return response

    async def before_response(self, request: Request, response: Response) -> None:
        """Run before a response that is no stream and no accepted handshake is sent."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:  # noqa: ARG002
        """Rewrite a message of the server, on WebSocket and SSE alike."""
        yield message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:  # noqa: ARG002
        """Rewrite a message of the client on a WebSocket."""
        yield message

    def server_frame(self, link: Link, frame: Frame) -> Iterable[Action]:  # noqa: ARG002
        """Rewrite a control frame of the server."""
        yield Frames((frame,))

    def client_frame(self, link: Link, frame: Frame) -> Iterable[Action]:  # noqa: ARG002
        """Rewrite a control frame of the client."""
        yield Frames((frame,))

    def client_data(self, link: Link, frames: tuple[Frame, ...]) -> tuple[Frame, ...] | None:  # noqa: ARG002
        """Rewrite the frames of one message of the client before it is read; `None` leaves them."""
        return None

    def text(self, link: Link, text: str) -> Iterable[Frame] | None:  # noqa: ARG002
        """Put a message's text into frames; `None` leaves it as it came."""
        return None

    def block(self, link: Link, block: bytes) -> Iterable[bytes]:  # noqa: ARG002
        """Rewrite a block of an SSE stream, its blank line included."""
        yield block

    def segments(self, data: bytes) -> Sequence[bytes]:
        """Divide what is sent to the judge into the segments that travel."""
        return (data,)

    async def watch(self, link: Link) -> None:
        """Run beside a WebSocket connection or a stream, from its opening to its end."""

    async def server_left(self, link: Link) -> None:
        """Run when the server ended a connection or stream, before the judge sees it."""

    async def client_left(self, link: Link) -> None:
        """Run when the judge's side is gone, before the server sees it."""

    def seconds(self, limit: str) -> float:
        """Return a limit of the server behind in seconds."""
        value = self.limits[limit]
        return value / 1000 if limit.endswith("_ms") else value

    def overrides(self, *hooks: str) -> bool:
        """Tell whether one of these hooks does something here."""
        return any(getattr(type(self), hook) is not getattr(Rewrite, hook) for hook in hooks)
