"""A failed assertion of a case is told in words of the protocol: what was expected and what came."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from runwire_conformance.case import Broken
from runwire_conformance.client.wire.http import Response
from runwire_conformance.runner import assertion
from runwire_conformance.runner.assertion import in_words, line_of, missing_in_words
from runwire_conformance.trace.message import Message

MODULE = """
async def one():
    pass

def equal(status):
    assert status == 200

def several_lines(came):
    assert [
        event.type for event in came
    ] == [
        "done"
    ]

def a_deadline_is_no_cancel(terminal):
    assert terminal.get("status") != "cancelled"

def members(terminal):
    assert (terminal.type, terminal.get("code")) == ("error", "timeout")

def member(opening):
    assert opening["status"] == "queued"

def header(response):
    assert "websocket" in response.header("upgrade")

def no_header(response):
    assert response.header("retry-after") is not None

def one_of(response):
    assert response.header("sec-websocket-protocol") in {None, "runwire.v1"}

def at_most(text):
    assert len(text) <= 2

def truth(terminal):
    assert terminal.get("reason")

def untruth(ended):
    assert not ended

def with_words(terminal):
    assert terminal is None, f"got {terminal}"

def in_other_words(terminal):
    assert terminal is None, "the call was sent before the error"

def the_server_says_so(status):
    equal(status)

def lacking(body):
    return body["seq"]
"""


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of cases."""
    monkeypatch.setattr(assertion, "CASES", "statements")
    path = tmp_path / "statements.py"
    path.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("statements", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failure_of(case: ModuleType, name: str, argument: object) -> AssertionError:
    """Return the failure of a case."""
    with pytest.raises(AssertionError) as caught:
        getattr(case, name)(argument)
    return caught.value


DONE = Message(type="done", status="cancelled")
PLAIN = Response(429, (("upgrade", "h2c"), ("sec-websocket-protocol", "v9")))


@pytest.mark.parametrize(
    ("name", "argument", "told"),
    [
        ("equal", 404, "expected status 200; got status 404"),
        ("the_server_says_so", 404, "expected status 200; got status 404"),
        ("several_lines", [DONE, DONE], "expected that several lines: done; got done, done"),
        (
            "a_deadline_is_no_cancel",
            DONE,
            'expected `status` other than "cancelled"; got `status` "cancelled"',
        ),
        ("members", DONE, 'expected type "error", `code` "timeout"; got type "done", no `code`'),
        ("member", {"status": "running"}, 'expected `status` "queued"; got `status` "running"'),
        ("header", PLAIN, 'expected that header; got "websocket"'),
        ("no_header", PLAIN, "expected `Retry-After` header; got no `Retry-After` header"),
        (
            "one_of",
            PLAIN,
            'expected `Sec-Websocket-Protocol` header one of "runwire.v1", none at all; '
            'got `Sec-Websocket-Protocol` header "v9"',
        ),
        ("at_most", "abc", "expected number of text at most 2; got number of text 3"),
        ("truth", DONE, "expected `reason`; got no `reason`"),
        ("untruth", True, "expected no ended; got true"),
        ("with_words", 7, "expected that with words; got 7"),
        ("in_other_words", 7, "the call was sent before the error"),
    ],
)
def test_an_assertion_in_words(case: ModuleType, name: str, argument: object, told: str) -> None:
    assert in_words(failure_of(case, name, argument)) == told


def test_what_pytest_makes_of_a_statement_is_not_told(case: ModuleType) -> None:
    failure = failure_of(case, "equal", 404)
    failure.args = ("assert 404 == 200\n +  where 404 = Response(…).status\n  Use -v to get more diff",)

    assert in_words(failure) == "expected status 200; got status 404"


def test_the_place_is_that_of_the_innermost_case(case: ModuleType) -> None:
    assert line_of(failure_of(case, "the_server_says_so", 404)) == "statements.py:6"
    assert line_of(ValueError("elsewhere")) == ""


def test_long_values_are_cut(case: ModuleType) -> None:
    failure = failure_of(case, "member", {"status": "x" * 5000})

    assert len(in_words(failure)) < 300


def test_what_says_itself_is_left_as_it_is() -> None:
    assert in_words(Broken("expected a done; got nothing")) == "expected a done; got nothing"
    assert in_words(AssertionError("assert 1 == 2\n + where …")) == "assert 1 == 2"


def test_what_is_missing_is_named(case: ModuleType) -> None:
    with pytest.raises(KeyError) as caught:
        case.lacking({})

    assert missing_in_words(caught.value) == "the received value has no `seq`"
    assert missing_in_words(IndexError("list index out of range")) == "fewer items arrived than expected"
    assert missing_in_words(TypeError("x")) == "the received value does not have the expected type"
