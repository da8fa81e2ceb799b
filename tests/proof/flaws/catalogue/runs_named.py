"""Flaws of chapter 4: names of runs and sessions, and what a name that is known leads to."""

# ruff: noqa: ARG001, ARG002 - a hook has the arguments of its kind
from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.proof.flaws.flaw import answers, flaw, hears, says
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Message, Rewrite, is_refusal, less

from .runs import RUN_ID, is_start


class Renames(Rewrite):
    """Calls runs by another `run_id` than the server behind does."""

    def renamed(self, run_id: str) -> str:
        """Return the name for the judge."""
        raise NotImplementedError

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        named = link.proxy.book.starts.get(str(run_id), {}).get("run_id") == run_id
        if not isinstance(run_id, str) or named:
            yield message
        else:
            self.names[self.renamed(run_id)] = run_id
            yield {**message, "run_id": self.renamed(run_id)}

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        yield {**message, "run_id": self.names[run_id]} if run_id in self.names else message

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[Any, str] = {}


@flaw("RUN-8")
class ShortRunIds(Renames):
    """The server's own run ids have 20 characters."""

    def renamed(self, run_id: str) -> str:
        return run_id[:20]


@flaw("RUN-8")
class DottedRunIds(Renames):
    """The server's own run ids have a dot in them."""

    def renamed(self, run_id: str) -> str:
        return f"run.{run_id}"


@says("RUN-10")
def another_session_named(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`started` names another session than the start did."""
    started = message.get("type") == "started"
    yield {**message, "session_id": message["session_id"][::-1]} if started else message


@says("RUN-10")
def no_session_named(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """`started` names no session."""
    yield less(message, "session_id") if message.get("type") == "started" else message


@flaw("RUN-36")
class NamedRunsRenamed(Rewrite):
    """`started` names another run than the start did, and so do the events behind it."""

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        yield {**message, "run_id": run_id[::-1]} if isinstance(run_id, str) else message

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        ours = not is_start(message) and isinstance(run_id, str)
        yield {**message, "run_id": str(run_id)[::-1]} if ours else message


@answers("RUN-36")
def accepted_under_another_name(flaw: Rewrite, request: Request, response: Response) -> Response:
    """The body of a 202 names another run than the request did."""
    body = json.loads(response.body) if response.status == 202 and response.body else None
    if not body:
        return response
    return response.with_body(json.dumps({**body, "run_id": body["run_id"][::-1]}).encode())


class WithoutSessions(Rewrite):
    """The server behind never learns of a session."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        yield less(message, "session_id") if is_start(message) else message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        asked = link.proxy.book.starts.get(str(message.get("run_id")), {}).get("session_id")
        yield {**message, "session_id": asked} if asked and message.get("type") == "started" else message


@flaw("RUN-16")
class SessionsRunInParallel(WithoutSessions):
    """The runs of one session run at the same time."""


@says("RUN-17")
def queued_is_called_running(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run that waits for its session is reported as running."""
    yield {**message, "status": "running"} if message.get("status") == "queued" else message


@flaw("RUN-18")
class TwoTabsTwoRuns(Rewrite):
    """The same start on two connections becomes two runs."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        if is_start(message) and run_id and self.nth(run_id) > 1:
            link.notes[run_id] = f"{run_id[:-2]}{self.seen[run_id]:02d}"
        yield {**message, "run_id": link.notes[run_id]} if run_id in link.notes else message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        names = {name: told for told, name in link.notes.items()}
        run_id = message.get("run_id")
        yield {**message, "run_id": names[run_id]} if run_id in names else message


@flaw("RUN-20")
class AnotherBodyIsTheSame(Rewrite):
    """A start that names an existing run joins it, whatever its body."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        first = link.proxy.book.starts.get(str(message.get("run_id")))
        if is_start(message) and first:
            yield {**first, **({"id": message["id"]} if "id" in message else {})}
        else:
            yield message


def _not_compared(member: str, description: str) -> None:
    def client_message(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
        yield less(message, member) if is_start(message) else message

    client_message.__name__, client_message.__doc__ = f"{member}_not_compared", description
    hears("RUN-20")(client_message)


_not_compared("inputs", "Two starts that differ in inputs count as the same.")


_not_compared("on_disconnect", "Two starts that differ in on_disconnect count as the same.")


_not_compared("session_id", "Two starts that differ in session_id count as the same.")


@says("RUN-20")
def conflict_is_a_bad_request(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A start of an existing run with another body is refused with bad_request."""
    yield {**message, "code": "bad_request"} if message.get("code") == "conflict" else message


@says("RUN-21", features=())
def known_run_is_a_bad_request(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Without resume, a start that names a known run is refused with bad_request."""
    yield {**message, "code": "bad_request"} if message.get("code") == "conflict" else message


@flaw("RUN-21", features=())
class KnownRunRunsAgain(Rewrite):
    """Without resume, a start that names a known run starts it once more."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        if is_start(message) and run_id and self.nth(run_id) > 1:
            link.notes["again"] = (f"{run_id[:-2]}{self.seen[run_id]:02d}", run_id)
            yield {**message, "run_id": link.notes["again"][0]}
        else:
            yield message

    def server_message(self, link: Link, message: Message) -> Iterable[Action]:
        name, told = link.notes.get("again", ("", ""))
        yield {**message, "run_id": told} if name and message.get("run_id") == name else message


@flaw("RUN-22")
class LongIdsCut(Rewrite):
    """A run_id of more than 64 characters is accepted and cut."""

    def client_message(self, link: Link, message: Message) -> Iterable[Action]:
        run_id = message.get("run_id")
        long = isinstance(run_id, str) and len(run_id) > 64
        yield {**message, "run_id": str(run_id)[:64]} if long else message


@hears("RUN-22")
def bad_session_ids_replaced(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A session_id of the wrong form is replaced by one of the server's own."""
    session_id = message.get("session_id", RUN_ID.format(0))
    good = isinstance(session_id, str) and session_id.isascii() and 21 <= len(session_id) <= 64
    good = good and set(session_id) <= set(
        json.dumps("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-0123456789")
    )
    yield message if good or not is_start(message) else less(message, "session_id")


@says("RUN-22")
def bad_ids_are_a_conflict(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A start with a run_id of the wrong form is refused with another code."""
    bad = is_refusal(message) and message["code"] == "bad_request"
    yield {**message, "code": "conflict"} if bad else message
