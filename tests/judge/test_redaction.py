"""Credentials stand in nothing that the judge tells."""

from __future__ import annotations

import asyncio
import base64
import html
import io
import json
from urllib.parse import quote, quote_plus

import pytest

from runwire_conformance.case import NotExercised, claim_of, proves
from runwire_conformance.client.discovery.profile import Options
from runwire_conformance.client.options.hooks import printed
from runwire_conformance.client.target import Target
from runwire_conformance.report.explain import explain_case
from runwire_conformance.runner import playing
from runwire_conformance.runner.engine import Engine
from runwire_conformance.runner.phases import judge_server
from runwire_conformance.tools.recorder import RecordingWriter
from runwire_conformance.tools.terminal.answers import InteractiveDisplay
from runwire_conformance.tools.terminal.screen import Plain
from runwire_conformance.trace.message import Message
from runwire_conformance.trace.redaction import Redaction, base64url
from runwire_conformance.trace.trace import Record, Trace
from runwire_conformance.trace.transcript import masked
from runwire_conformance.verdict.outcome import Case, State

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


#: A credential of every character that a header can hold and that some form writes otherwise.
AWKWARD = 'k"e\\y/+%=&#?~<é 7'


def written(secret: str) -> dict[str, str]:
    """Return the forms in which a credential can be written."""
    percent = quote(secret, safe="")
    in_json = json.dumps(secret)[1:-1]
    return {
        "plain": secret,
        "JSON": in_json,
        "JSON, not ASCII": json.dumps(secret, ensure_ascii=False)[1:-1],
        "JSON in JSON": json.dumps(in_json)[1:-1],
        "JSON of JavaScript": in_json.replace("/", "\\/"),
        "JSON, all escaped": "".join(f"\\u{ord(letter):04X}" for letter in secret),
        "repr": repr(secret)[1:-1],
        "repr of bytes": repr(secret.encode())[2:-1],
        "repr of JSON": repr(in_json.encode())[2:-1],
        "percent": percent,
        "percent, lower": quote(secret, safe="").lower() if secret.isascii() else percent,
        "percent, all": "".join(f"%{byte:02x}" for byte in secret.encode()),
        "percent, a little": quote(secret, safe='/+=&?~"\\<'),
        "form": quote_plus(secret),
        "percent, twice": quote(percent, safe=""),
        "subprotocol": base64url(secret),
        "base64": base64.b64encode(secret.encode()).decode(),
        "base64, percent": quote(base64.b64encode(secret.encode()).decode(), safe=""),
        "HTML": html.escape(secret),
    }


@pytest.mark.parametrize("secret", [AWKWARD, TOKEN, 'a"b\\c', "ünïcode-token", "u0041-n-t-r", "n\\ew"])
def test_a_credential_is_masked_however_it_is_written(secret: str) -> None:
    redaction = Redaction([secret])

    for form, text in written(secret).items():
        assert redaction.masked(f"before {text} after") == "before *** after", form
        assert redaction.holds(f"?ticket={text}&x"), form


def test_a_message_that_holds_a_credential_stays_a_message() -> None:
    trace = Trace("websocket", "/ws")
    message = {"type": "token", "data": f"x\\{AWKWARD}", AWKWARD: [{"a": AWKWARD}], "n": 7}
    trace.add("server", "text", json.dumps(message), Message(message))

    Redaction([AWKWARD]).mask(trace)

    assert trace.records[0].message == {"type": "token", "data": "x***", "***": [{"a": "***"}], "n": 7}
    assert json.loads(trace.records[0].payload)["***"] == [{"a": "***"}]


def test_what_a_recording_is_written_with_is_masked_in_every_form() -> None:
    file = io.StringIO()
    writer = RecordingWriter(file, "http://h", [AWKWARD])
    for text in written(AWKWARD).values():
        said = {"type": "token", "data": text, "seq": 1}
        writer.write("websocket", 1, Record(0.0, "server", "text", json.dumps(said), Message(said)))
        writer.write("sse", 2, Record(0.0, "server", "block", f"data: {json.dumps(said)}"))

    for line in file.getvalue().splitlines()[1:]:
        assert "***" in json.dumps(json.loads(line))
    assert Redaction([AWKWARD]).holds(file.getvalue()) is False


def test_a_ticket_that_nobody_knows_is_masked_with_all_its_characters() -> None:
    assert masked("GET /ws?ticket=a%2Fb%22c&x=1") == "GET /ws?ticket=***&x=1"
    assert masked("Authorization: Bearer a!b#c; Accept: x") == "Authorization: Bearer ***; Accept: x"


def test_ordinary_text_is_not_masked() -> None:
    redaction = Redaction([TOKEN, AWKWARD])

    for text in ("alice s3cret", "100 % of it", "a \\ b", "token", json.dumps({"a": "\\u0061"})):
        assert redaction.masked(text) == text


def test_a_long_text_without_a_credential_is_read_quickly_enough() -> None:
    text = '{"a":"\\\\%25"}' * 100_000

    assert Redaction([TOKEN, AWKWARD]).masked(text) == text


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
def test_a_failed_case_tells_no_credential(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @proves("CONN-6")
    async def a_case_that_quotes_what_it_sent(target: Target) -> None:
        other = target.as_other()
        other.redaction.add("learned-s3cret")
        await other.connect(headers=[("Cookie", f"session={COOKIE}")])
        raise AssertionError(f"{TOKEN} {OTHER} learned-s3cret")

    case = Case("auth::it", a_case_that_quotes_what_it_sent, claim_of(a_case_that_quotes_what_it_sent))
    monkeypatch.setattr(playing, "line_of", lambda problem: f"details: {problem}")
    engine = Engine(server_url, OPTIONS, [case])

    asyncio.run(judge_server(engine))

    (found,) = engine.played
    assert found.outcome is not None
    assert (found.outcome.state, found.outcome.reason) == (State.FAILED, "*** *** ***")
    told = explain_case(found) + repr(found.outcome.traces)
    assert "GET (handshake) Cookie: session=***" in told
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 3", "the command of [hooks] jwt ended with exit code 3"),
        ("echo two words", "the command of [hooks] jwt must print a token and nothing else"),
        ("no-such-program-anywhere s3cret", "the command of [hooks] jwt ended with exit code 127"),
        (
            "kill -TERM $$",
            "the command of [hooks] jwt was itself ended by SIGTERM; a `pkill -f` pattern also matches the "
            "shell that runs the command, so name the process by its id",
        ),
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


def test_what_a_server_repeats_is_not_shown_in_the_terminal() -> None:
    out, aside = io.StringIO(), io.StringIO()
    asked = InteractiveDisplay(Plain(out, aside), Redaction([TOKEN]))

    asked.event({"type": "token", "data": f"you are {TOKEN}"})
    asked.control({"type": "notice", "code": TOKEN, "data": quote(TOKEN)})
    asked.note(f"refused: {TOKEN}")

    assert out.getvalue() == "you are ***"
    assert "s3cret" not in aside.getvalue() and "***" in aside.getvalue()
