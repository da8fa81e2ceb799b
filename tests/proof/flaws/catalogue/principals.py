"""Flaws of chapter 11: whose runs they are, and credentials that expire."""

# ruff: noqa: ARG001 - a hook has the arguments of its kind
from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable

from tests.proof.flaws.callers import admitted, claims_of, is_other, minted, token_of, with_token
from tests.proof.flaws.flaw import answers, asks, controls, flaw, hears, says
from tests.proof.flaws.frames import Frame, close_frame
from tests.proof.flaws.http1 import Request, Response
from tests.proof.flaws.link import Link
from tests.proof.flaws.rewrite import Action, Answer, Aside, Close, Drop, Frames, Message, Rewrite, refusal

from .connection import problem
from .http import is_run_start, is_status


def _for_everybody(name: str, suffix: str, doc: str) -> None:
    def request(flaw: Rewrite, request: Request) -> Request | Response:
        wanted = request.path.endswith(suffix) if suffix else is_status(request)
        return admitted(flaw, request) if wanted and is_other(flaw, request) else request

    request.__name__, request.__doc__ = name, doc
    asks("AUTH-11", auth=True)(request)


_for_everybody("runs_shown_to_everybody", "", "A run tells how it stands to other principals.")
_for_everybody("streams_shown_to_everybody", "/events", "A run is streamed to other principals.")
_for_everybody("runs_cancelled_by_everybody", "/cancel", "A run is cancelled over HTTP by other principals.")


@answers("AUTH-11", auth=True)
def runs_of_others_are_forbidden(flaw: Rewrite, request: Request, response: Response) -> Response:
    """A run of another principal is forbidden and not unknown."""
    return problem(403, "forbidden") if response.status == 404 and is_other(flaw, request) else response


@hears("AUTH-11", auth=True)
def cancels_of_others_count(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A cancel of another principal's run cancels it."""
    if message.get("type") == "cancel" and is_other(flaw, link.request):
        yield Aside(message)
    yield message


@hears("AUTH-11", auth=True)
def resumes_of_others_are_served(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A resume of another principal's run is answered."""
    run = {
        "epoch": "e1",
        "next_seq": message.get("after", 0) + 1,
        "status": "completed",
        "trace_id": "1" * 32,
    }
    if message.get("type") == "resume" and is_other(flaw, link.request):
        yield Answer({"type": "resumed", "re": message.get("id", ""), "run_id": message["run_id"], **run})
    else:
        yield message


@hears("AUTH-11", auth=True)
def cursors_of_others_are_checked(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A resume of another principal's run tells whether its cursor is beyond the end."""
    beyond = message.get("after", 0) > link.proxy.book.top(str(message.get("run_id"))) > 0
    if message.get("type") == "resume" and is_other(flaw, link.request) and beyond:
        yield Answer(refusal("bad_request", message))
    else:
        yield message


@hears("AUTH-11", auth=True)
def run_ids_are_everybodys(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run_id that another principal has used is a conflict."""
    if message.get("run_id") in link.proxy.book.starts and is_other(flaw, link.request):
        yield Answer(refusal("conflict", message))
    else:
        yield message


@says("AUTH-11", auth=True)
def sessions_are_everybodys(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """A run waits for the run of another principal's session of the same name."""
    named = any("session_id" in asked for asked in link.asked)
    waits = message.get("type") == "started" and named and is_other(flaw, link.request)
    yield {**message, "status": "queued"} if waits else message


@hears("AUTH-11", auth=True)
def everybody_answers(flaw: Rewrite, link: Link, message: Message) -> Iterable[Action]:
    """Another principal's input request can be answered."""
    yield Aside(message) if message.get("type") == "input" and is_other(flaw, link.request) else message


@asks("AUTH-12", auth=True)
def every_token_is_a_principal(flaw: Rewrite, request: Request) -> Request | Response:
    """The principal is the token, so that a renewed one is somebody else."""
    claims = claims_of(token_of(request))
    if "exp" not in claims:
        return request
    name = hashlib.sha256(token_of(request).encode()).hexdigest()[:12]
    return with_token(request, minted(flaw, {**claims, "sub": name}))


@asks("AUTH-12", auth=True)
def subjects_not_looked_at(flaw: Rewrite, request: Request) -> Request | Response:
    """The principal is the issuer alone."""
    claims = claims_of(token_of(request))
    return with_token(request, minted(flaw, {**claims, "sub": "everybody"})) if "exp" in claims else request


@asks("AUTH-12", auth=True)
def issuers_not_looked_at(flaw: Rewrite, request: Request) -> Request | Response:
    """The principal is the subject alone."""
    claims = claims_of(token_of(request))
    return with_token(request, minted(flaw, claims, iss="check")) if "exp" in claims else request


def _expires(name: str, requests: str, seconds: float, doc: str) -> None:
    """Register a flaw by which what is opened with a token of a few seconds lasts so much longer."""

    def request(flaw: Rewrite, request: Request) -> Request | Response:
        claims = claims_of(token_of(request))
        opens = request.is_upgrade if requests == "handshakes" else is_run_start(request)
        if not opens or claims.get("sub") != "dave":
            return request
        return with_token(request, minted(flaw, claims, exp=int(claims["exp"] + seconds)))

    request.__name__, request.__doc__ = name, doc
    asks("AUTH-13", auth=True)(request)


_expires(
    "connections_outlive_their_token", "handshakes", 600, "A connection stays open when its token expires."
)
_expires("connections_end_late", "handshakes", 1, "A connection ends a second after its token expired.")
_expires("connections_end_early", "handshakes", -1, "A connection ends a second before its token expires.")
_expires("streams_outlive_their_token", "streams", 600, "A stream goes on when its token expires.")


@controls("AUTH-13", auth=True)
def expired_is_policy(flaw: Rewrite, link: Link, frame: Frame) -> Iterable[Action]:
    """A connection whose token expired is closed with 1008."""
    yield Frames((close_frame(1008) if frame.close_code == 4101 else frame,))


@flaw("AUTH-13", auth=True)
class ExpiredStreamsBreakOff(Rewrite):
    """A stream whose token expired breaks off."""

    async def server_left(self, link: Link) -> None:
        if link.is_stream and claims_of(token_of(link.request)).get("exp", 1e12) <= time.time():
            await link.send([Drop()])


@flaw("AUTH-14", auth=True)
class ExpiredReadersHaveLeft(Rewrite):
    """A reader whose token expired is taken for one that left by itself."""

    async def watch(self, link: Link) -> None:
        expires = claims_of(token_of(link.request)).get("exp")
        if expires is not None and not link.is_stream:
            await asyncio.sleep(max(expires - time.time() - 0.1, 0))
            await link.send([Close(4101)])
