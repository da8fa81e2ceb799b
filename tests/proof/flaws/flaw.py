"""A flaw: one way in which a server breaks one requirement, and the ways to write one down."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from .frames import Frame
from .http1 import Request, Response
from .link import Link
from .rewrite import Action, Message, Rewrite

Features = tuple[str, ...]
ALL_FEATURES: Features = ("robust", "resume", "sse", "poll", "input", "forms", "metrics")


@dataclass(frozen=True, slots=True)
class Stand:
    """How the good server behind a flaw is started, where that differs from the usual check timings."""

    limits: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    features: Features = ALL_FEATURES
    drains: bool = False
    """The judge is told how to make the server drain, which ends the server."""
    nodes: bool = False
    """The judge is told of a second node: the same server, before which the flaw stands; the first has none."""
    killable: bool = False
    """The judge is told of a second node on the same Redis, and how to kill it; the flaw stands before the first."""
    auth: bool = False
    """The server wants credentials, and the judge is given all of them."""
    patience_s: float = 10
    """Seconds that the judge waits for what a flawed server leaves out: hardly a bound of the servers is longer."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One flaw. The judge is to blame `requirement`; `description` says what the server does wrong."""

    name: str
    requirement: str
    description: str
    make: Callable[[], Rewrite]
    stand: Stand = field(default_factory=Stand)
    runs: int = 1
    """How often the proof tries it: more than once when it acts at random."""
    clause: str = ""
    """Which clause of the sentence it breaks, where the sentence has several; empty where nobody named it."""


FLAWS: dict[str, Flaw] = {}

#: The clauses of sentences that have several, and the flaws that break each.
CLAUSES: Mapping[str, Mapping[str, list[str]]] = tomllib.loads(
    (Path(__file__).parent / "clauses.toml").read_text(encoding="utf-8")
)
_CLAUSE_OF = {
    name: clause for clauses in CLAUSES.values() for clause, names in clauses.items() for name in names
}

Kind = TypeVar("Kind", bound=type[Rewrite])
SaysHook = Callable[[Rewrite, Link, Message], Iterable[Action]]
RequestHook = Callable[[Rewrite, Request], Request | Response]
ResponseHook = Callable[[Rewrite, Request, Response], Response]
FrameHook = Callable[[Rewrite, Link, Frame], Iterable[Action]]
DataHook = Callable[[Rewrite, Link, tuple[Frame, ...]], tuple[Frame, ...] | None]
BlockHook = Callable[[Rewrite, Link, bytes], Iterable[bytes]]


def register(flaw: Flaw) -> None:
    """Add a flaw to the catalogue; its name must be new."""
    if flaw.name in FLAWS:
        raise ValueError(f"two flaws are called {flaw.name}")
    if not flaw.description:
        raise ValueError(f"{flaw.name}: say what the server does wrong")
    FLAWS[flaw.name] = replace(flaw, clause=flaw.clause or _CLAUSE_OF.get(flaw.name, ""))


def flaw(requirement: str, *, runs: int = 1, clause: str = "", **stand: Any) -> Callable[[Kind], Kind]:
    """Register a Rewrite as a flaw; its docstring is the description. One that acts at random is tried `runs` times."""

    def registered(kind: Kind) -> Kind:
        said = sentence(kind.__doc__)
        register(Flaw(snake(kind.__name__), requirement, said, kind, Stand(**stand), runs, clause))
        return kind

    return registered


def _by_hook(hook: str, requirement: str, clause: str, stand: Mapping[str, Any]) -> Callable[[Any], Any]:
    def registered(function: Any) -> Any:
        kind = type(function.__name__, (Rewrite,), {hook: function})
        name, said = function.__name__, sentence(function.__doc__)
        register(Flaw(name, requirement, said, kind, Stand(**stand), clause=clause))
        return function

    return registered


def says(requirement: str, *, clause: str = "", **stand: Any) -> Callable[[SaysHook], SaysHook]:
    """Register a rewrite of the server's messages."""
    return _by_hook("server_message", requirement, clause, stand)


def hears(requirement: str, *, clause: str = "", **stand: Any) -> Callable[[SaysHook], SaysHook]:
    """Register a rewrite of the client's messages."""
    return _by_hook("client_message", requirement, clause, stand)


def reads(requirement: str, *, clause: str = "", **stand: Any) -> Callable[[DataHook], DataHook]:
    """Register a rewrite of the client's frames before they are read."""
    return _by_hook("client_data", requirement, clause, stand)


def controls(requirement: str, *, clause: str = "", **stand: Any) -> Callable[[FrameHook], FrameHook]:
    """Register a rewrite of the server's control frames."""
    return _by_hook("server_frame", requirement, clause, stand)


def asks(requirement: str, *, clause: str = "", **stand: Any) -> Callable[[RequestHook], RequestHook]:
    """Register a rewrite of requests."""
    return _by_hook("request", requirement, clause, stand)


def answers(requirement: str, *, clause: str = "", **stand: Any) -> Callable[[ResponseHook], ResponseHook]:
    """Register a rewrite of responses."""
    return _by_hook("response", requirement, clause, stand)


def streams(requirement: str, *, clause: str = "", **stand: Any) -> Callable[[BlockHook], BlockHook]:
    """Register a rewrite of the blocks of SSE streams."""
    return _by_hook("block", requirement, clause, stand)


class Describes(Rewrite):
    """Rewrites what the server says about itself, in discovery and in `ready` alike."""

    def described(self, description: Message) -> Message:
        """Return what is said instead of `description`."""
        return description

    def response(self, request: Request, response: Response) -> Response:  # noqa: ARG002
        if document := discovery(response):
            return response.with_body(json.dumps(self.described(document)).encode())
        return response

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:  # noqa: ARG002
        yield self.described(message) if message.get("type") == "ready" else message


def misstates(name: str, requirement: str, said: Mapping[str, float], description: str, **stand: Any) -> None:
    """Register a flaw that advertises other limits than the server keeps."""

    class Misstates(Describes):
        def described(self, description: Message) -> Message:
            return {**description, "limits": {**description["limits"], **said}}

    register(Flaw(name, requirement, description, Misstates, Stand(**stand)))


def discovery(response: Response) -> Message | None:
    """Return the discovery document in a response, if it is one."""
    if response.status != 200 or not response.body or b'"endpoints"' not in response.body:
        return None
    document: Message = json.loads(response.body)
    return document


def snake(name: str) -> str:
    """Return a class name as the name of a flaw."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def sentence(doc: str | None) -> str:
    """Return a docstring as one line."""
    return " ".join((doc or "").split())
