"""Credentials stand in nothing that the judge tells."""

from __future__ import annotations

import asyncio
import json

import pytest

from runwire_conformance.case import NotExercised, claim_of, proves
from runwire_conformance.engine import Engine
from runwire_conformance.explain import explain_case
from runwire_conformance.hooks import printed
from runwire_conformance.outcome import Case, State
from runwire_conformance.profile import Options
from runwire_conformance.redaction import Redaction, base64url
from runwire_conformance.target import Target
from runwire_conformance.trace import Message, Trace

TOKEN, OTHER, COOKIE = "alice-s3cret-token", "bob-s3cret-token", "cookie-s3cret"
OPTIONS = Options(
    token=TOKEN,
    headers=(
        ("Cookie", f"a={COOKIE}-of-a-header; b=2"),
        ("X-Api-Key", "key-s3cret"),
        ("Accept", "text/html"),
    ),
    hooks={"other_token": OTHER, "forbidden_token": "mallory-s3cret", "cookie": f"session={COOKIE}"},
)


def test_every_configured_credential_is_masked_in_each_of_its_forms() -> None:
    redaction = OPTIONS.redaction
    forms = (TOKEN, OTHER, COOKIE, "mallory-s3cret", "key-s3cret", f"{COOKIE}-of-a-header", base64url(TOKEN))

    for form in forms:
        assert redaction.masked(f"before {form} after") == "before *** after"
    assert redaction.masked("text/html a=2") == "text/html a=2"


def test_what_a_case_learns_is_masked_there_and_not_elsewhere() -> None:
    known = OPTIONS.redaction
    learned = known.copy()

    learned.add("a-ticket-s3cret")

    assert learned.masked("a-ticket-s3cret") == "***"
    assert known.masked("a-ticket-s3cret") == "a-ticket-s3cret"


def test_a_conversation_loses_its_credentials_everywhere() -> None:
    trace = Trace("http", f"GET /ws?ticket={TOKEN}")
    trace.add("client", "request", f"GET (handshake) Sec-WebSocket-Protocol: bearer.{base64url(TOKEN)}")
    text = json.dumps({"type": "token", "data": f"you are {TOKEN}"})
    trace.add("server", "text", text, Message(json.loads(text)))

    OPTIONS.redaction.mask(trace)

    assert trace.title == "GET /ws?ticket=***"
    assert trace.records[0].payload == "GET (handshake) Sec-WebSocket-Protocol: bearer.***"
    assert trace.records[1].message == {"type": "token", "data": "you are ***"}
    assert TOKEN not in repr(trace)


# The loop ends as soon as the engine has, with sockets that are about to be closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_failed_case_tells_no_credential(server_url: str) -> None:
    @proves("CONN-6")
    async def a_case_that_quotes_what_it_sent(target: Target) -> None:
        other = target.as_other()
        other.redaction.add("learned-s3cret")
        await other.connect(headers=[("Cookie", f"session={COOKIE}")])
        raise AssertionError(f"{TOKEN} {OTHER} learned-s3cret")

    case = Case("auth::it", a_case_that_quotes_what_it_sent, claim_of(a_case_that_quotes_what_it_sent))
    case.explain = lambda problem: f"details: {problem}"
    engine = Engine(server_url, OPTIONS, [case])

    asyncio.run(engine.judge())

    assert case.outcome is not None
    assert (case.outcome.state, case.outcome.reason) == (State.FAILED, "*** *** ***")
    told = explain_case(case) + repr(case.outcome.traces)
    assert "GET (handshake) Cookie: session=***" in told
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 3", "the command of [hooks] jwt ended with exit code 3"),
        ("echo two words", "the command of [hooks] jwt has to print a token and nothing else"),
        ("no-such-program-anywhere s3cret", "the command of [hooks] jwt ended with exit code 127"),
    ],
)
def test_a_command_that_fails_is_not_shown(command: str, said: str) -> None:
    with pytest.raises(NotExercised) as problem:
        asyncio.run(printed("jwt", command))

    assert str(problem.value) == said


def test_a_command_reads_its_input_and_prints_a_token() -> None:
    assert asyncio.run(printed("jwt", "cat", "abc\n")) == "abc"


def test_the_redaction_knows_no_empty_secret() -> None:
    assert Redaction(["", "abc"]).masked("abc") == "abc"
