"""`runwire validate` on files that are no HAR files: encodings, JSON lines, and what terminals print."""

from __future__ import annotations

import codecs
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwire_conformance.tools.formats.recording import Recording, Unreadable
from runwire_conformance.tools.replay import report_of
from runwire_conformance.tools.validate import read
from tests.support.commands import runwire
from tests.support.patience import examples
from tests.support.validate_stand import (
    DONE,
    GOOD,
    HOLE,
    READY,
    RUN,
    START,
    STARTED,
    TOKEN,
    body,
    broken,
    har,
    looked_at,
    socket,
    stream,
)

LINES = "\n".join(json.dumps(said, ensure_ascii=False) for _, said in GOOD) + "\n"
EMPTY_TOKEN = '{"type":"token","data":""}'


def recorded(talk: list[tuple[str, dict[str, Any]]]) -> str:
    """Return a recording of a talk."""
    lines = [
        {"at_ms": 10.5 * n, "from": "client" if kind == "send" else "server", "message": said}
        for n, (kind, said) in enumerate(talk)
    ]
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n"


def wscat(talk: list[tuple[str, dict[str, Any]]], sent: str = "> ", came: str = "< ", end: str = "\n") -> str:
    """Return what wscat prints of a talk."""
    lines = ["Connected (press CTRL+C to quit)"]
    lines += [
        (sent if kind == "send" else came) + json.dumps(said, ensure_ascii=False) for kind, said in talk
    ]
    return end.join([*lines, 'Disconnected (code: 1000, reason: "")', ""])


FORMS = {
    "har": har(socket(HOLE)),
    "har, indented": json.dumps(json.loads(har(socket(HOLE))), indent=2, ensure_ascii=False),
    "recording": recorded(HOLE),
    "curl -N": body(HOLE),
    "wscat": wscat(HOLE),
}
ENCODINGS = {
    "utf-8": lambda text: text.encode(),
    "utf-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 of PowerShell": lambda text: codecs.BOM_UTF16_LE + text.replace("\n", "\r\n").encode("utf-16-le"),
    "utf-16 without a mark": lambda text: text.encode("utf-16-le"),
    "utf-16, big endian": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-16, big endian, without a mark": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_read_in_each_encoding(tmp_path: Path, form: str, encoding: str, packed: bool) -> None:
    data = ENCODINGS[encoding](FORMS[form])

    assert broken(tmp_path, gzip.compress(data) if packed else data) == ["RUN-28"]


def test_gzip_in_several_members_is_read_on(tmp_path: Path) -> None:
    lines = recorded(HOLE).splitlines(keepends=True)

    assert broken(tmp_path, b"".join(gzip.compress(line.encode()) for line in lines)) == ["RUN-28"]


def test_gzip_that_breaks_off_is_judged_as_far_as_it_goes(tmp_path: Path) -> None:
    noise = random.Random(7)
    further = [("receive", {"type": "x:y", "data": noise.randbytes(64).hex()}) for _ in range(2000)]
    data = gzip.compress(recorded([*HOLE, *further]).encode())

    found = looked_at(tmp_path, data[: len(data) // 2])

    assert "RUN-28" in [problem.requirement for problem in found.problems]
    assert any("is truncated" in remark for remark in found.remarks)


@pytest.mark.parametrize("data", [b"\x1f\x8b", b"\x1f\x8b\x08\x00garbage", gzip.compress(b"", mtime=0)])
def test_gzip_that_holds_nothing_is_a_line(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Unreadable):
        looked_at(tmp_path, data)


def test_what_unpacks_without_end_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runwire_conformance.tools.formats.file_text.MOST_BYTES", 1 << 20)

    with pytest.raises(Unreadable) as refused:
        looked_at(tmp_path, gzip.compress(b" " * (64 << 20)))

    assert "when decompressed" in str(refused.value)


#: Files in which nothing is to be judged.
NOTHING = [
    *(
        "",
        " \n",
        "\r\n\r\n",
        "\ufeff",
        "\x00" * 8,
        "hello\nworld\n",
        "[]",
        "7",
        "null",
        '"x"',
        "[1,2",
        "\x1b[31m",
    ),
    *("<!doctype html><p>x</p>", "[" * 5000, '{"a":' * 5000, "{" * 5000, "< \n> \n", "data: x\n\n"),
    "HTTP/1.1 401 Unauthorized\r\n\r\n{}",
]


@pytest.mark.parametrize("text", NOTHING)
def test_a_file_in_which_nothing_can_be_judged_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unreadable) as refused:
        looked_at(tmp_path, text)

    assert len(str(refused.value).splitlines()) == 1


# JSON lines.


@pytest.mark.parametrize(
    "bad", ["{", "nonsense", "7", "[1]", '{"type":"token"', '{"a":NaN', "\udcff", '{"x":"\udcff"}']
)
def test_a_line_of_no_json_hides_no_other(tmp_path: Path, bad: str) -> None:
    text = f"{LINES}{bad}\n{EMPTY_TOKEN}\n"

    found = looked_at(tmp_path, text.encode("utf-8", "surrogateescape"))

    assert [problem.requirement for problem in found.problems] == ["EVENT-26", ""]
    assert found.problems[1].place.endswith(":6")


@pytest.mark.parametrize("bad", ["{", "nonsense", "7", "[1]"])
def test_a_gap_in_a_recording_leaves_single_messages_to_judge(tmp_path: Path, bad: str) -> None:
    lines = recorded([*HOLE, ("receive", {**TOKEN, "seq": 9, "data": ""})]).splitlines()
    lines.insert(4, bad)

    found = looked_at(tmp_path, "\n".join(lines))

    assert [problem.requirement for problem in found.problems] == ["EVENT-26"]
    assert found.remarks


def test_a_recording_that_breaks_off_is_judged_up_to_there(tmp_path: Path) -> None:
    assert broken(tmp_path, recorded(HOLE) + '{"at_ms": 99, "from": "ser') == ["RUN-28"]


@pytest.mark.parametrize("line", [{"from": []}, {"from": {}}, {"from": "server", "at_ms": float("nan"), "message": {}},
                                  {"from": "server", "at_ms": 10**400, "message": {}}, {"from": "server", "close": []},
                                  {"from": "client", "at_ms": None, "message": {}}])  # fmt: skip
def test_a_line_of_a_recording_that_is_none_is_a_remark(tmp_path: Path, line: dict[str, Any]) -> None:
    found = looked_at(tmp_path, recorded(GOOD) + json.dumps(line))

    assert found.problems == []
    assert len(found.remarks) == 1


@pytest.mark.parametrize(
    "limits", [{"max_event_bytes": 1e999}, {"heartbeat_s": float("nan")}, {"cancel_quiet_ms": 10**400}]
)
def test_a_limit_that_is_none_is_no_fault_of_the_reader(tmp_path: Path, limits: dict[str, Any]) -> None:
    looked_at(tmp_path, recorded([("receive", {**READY, "limits": limits}), *GOOD[1:]]))


def test_messages_over_several_lines_are_read(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(said, indent=2) for said in (READY, TOKEN, json.loads(EMPTY_TOKEN), DONE))

    found = looked_at(tmp_path, text)

    assert [problem.requirement for problem in found.problems] == ["EVENT-26"]
    assert found.problems[0].place.endswith(":18")


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        ('{"type":"token","data":"a","data":"b"}', "MSG-5"),
        (EMPTY_TOKEN, "EVENT-26"),
        ('{"type":"token","data":"\\ud83d"}', "EVENT-2"),
        ('{"type":"token","data":"x","agent":"a"}', "EVENT-3"),
        ('{"type":"heartbeat","seq":1}', "BEAT-4"),
        ('{"type":"notice","code":"x","data":null}', "MSG-3"),
        (
            '{"type":"done","run_id":"mZ0bV4cQ2Jt8uY6wK1xR3A","seq":2,"data":"x"}',
            "EVENT-21",
        ),
        ('{"type":"error","code":"nonsense","retryable":false,"data":"x"}', "ERR-1"),
        ('{"type":"ready","protocol":"runwire","version":1,"features":["sse"]}', "MSG-3"),
        ('{"prompt":"x","session_id":null}', "MSG-21"),
        ('[{"type":"heartbeat"},{"type":"token","data":"a","data":"b"}]', "MSG-5"),
    ],
)
def test_a_message_alone_is_accused_of_what_it_shows(tmp_path: Path, text: str, requirement: str) -> None:
    assert requirement in broken(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"token","data":"x"}',
        '{"type":"done","data":"x"}',
        '{"type":"error","data":"x"}',
        '{"type":"tool_call","name":"t","input":{}}',
        '{"prompt":"x"}',
        '{"type":"heartbeat","id":"1"}',
        '{"type":"heartbeat"}',
        '{"type":"acme:thing","seq":"x"}',
        json.dumps(
            {"type": "observation", "run_id": RUN, "seq": 3, "call_id": "c", "content": "x" * 300_000}
        ),
    ],
)
def test_a_message_alone_is_not_accused_of_what_others_would_show(tmp_path: Path, text: str) -> None:
    assert broken(tmp_path, text) == []


@pytest.mark.parametrize(
    "text",
    ['{"type":[]}', '{"type":null}', '{"type":7,"data":{}}', "{}", '{"data":"x"}', '{"type":{"a":[]}}'],
)
def test_an_object_that_is_no_message_is_told(tmp_path: Path, text: str) -> None:
    found = looked_at(tmp_path, text)

    assert [problem.requirement for problem in found.problems] == [""]


def test_a_type_that_nobody_knows_is_told_with_its_neighbour(tmp_path: Path) -> None:
    typo = {**TOKEN, "type": "tokn"}

    for text in (json.dumps(typo), recorded([*GOOD[:4], ("receive", {**typo, "seq": 2})])):
        found = looked_at(tmp_path, text)
        assert found.problems == []
        assert any("'tokn'; did you mean token?" in remark for remark in found.remarks)
    assert looked_at(tmp_path, '{"type":"acme:tokn"}').remarks == []


@pytest.mark.parametrize("form", [recorded, lambda talk: har(socket(talk)), lambda talk: har(stream(talk)), body, wscat,
                                  lambda talk: "\n".join(json.dumps(said) for _, said in talk)])  # fmt: skip
def test_a_run_without_an_end_is_told(tmp_path: Path, form: Any) -> None:
    cut, whole = looked_at(tmp_path, form(GOOD[:-1])), looked_at(tmp_path, form(GOOD))

    assert cut.problems == whole.problems == whole.remarks == []
    assert any(f"run {RUN} does not end here" in remark for remark in cut.remarks)


# What terminals print.

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nid: 7\r\n\r\n"
METER = (
    "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n"
    "  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0\n"
)
VERBOSE = (
    "* Trying 127.0.0.1:8080...\n* Connected to localhost\n> POST /v1/runs HTTP/1.1\n> Host: localhost\n> \n"
    "< HTTP/1.1 200 OK\n< content-type: text/event-stream\n< \n{ [5 bytes data]\n"
)


@pytest.mark.parametrize(
    "around",
    [("", ""), (HEAD, ""), (HEAD.replace("HTTP/1.1", "HTTP/2"), ""), (METER, ""), (VERBOSE, "* Closing connection\n"),
     ("HTTP/1.1 100 Continue\r\n\r\n" + HEAD, ""), ("$ curl -N http://localhost:8080/v1/runs\n", "$ "),
     ("", "curl: (18) transfer closed with outstanding read data remaining\n"), (": hello\n\n" * 0, ": bye\n\n")],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_stream_that_curl_printed_is_judged(tmp_path: Path, around: tuple[str, str], end: str) -> None:
    before, after = around

    assert broken(tmp_path, before + body(HOLE, end) + after) == ["RUN-28"]
    assert broken(tmp_path, before + body(GOOD, end) + after) == []


def test_a_stream_names_the_line_of_a_block(tmp_path: Path) -> None:
    found = looked_at(tmp_path, HEAD + body(HOLE))

    assert found.problems[0].place.endswith(":14")


def test_a_stream_that_was_cut_is_judged_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = body(GOOD)
    for end in range(len(whole.partition("data: {")[0]) + 250, len(whole), 7):
        assert broken(tmp_path, whole[:end]) == []
    assert broken(tmp_path, body(HOLE).partition("\n\n")[2].partition("\n\n")[2]) == []


@pytest.mark.parametrize(
    ("sent", "came"),
    [
        ("> ", "< "),
        (">", "<"),
        ("[2026-11-24T10:00:00.010Z] > ", "[2026-11-24T10:00:00.010Z] < "),
        ("10:00:00.010 > ", "10:00:00.010 < "),
        ("Nov 24 10:00:00 > ", "Nov 24 10:00:00 < "),
        ("1795514400.010 >>> ", "1795514400.020 <<< "),
        ("> [10:00:00] ", "< [10:00:00] "),
        ("→ ", "← "),
        ("-> ", "<- "),
        ("\x1b[2K\x1b[1G> ", "\x1b[2K\x1b[34m< "),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\x1b[39m\n> \n"])
def test_what_wscat_printed_is_judged(tmp_path: Path, sent: str, came: str, end: str) -> None:
    assert broken(tmp_path, wscat(HOLE, sent, came, end)) == ["RUN-28"]
    assert broken(tmp_path, wscat(GOOD, sent, came, end)) == []
    assert broken(tmp_path, wscat([*GOOD[:1], ("send", {"prompt": 7})], sent, came, end)) == [""]


def test_arrows_that_are_turned_round_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        looked_at(tmp_path, wscat(GOOD, "< ", "> "))


def test_a_line_without_an_arrow_is_nobody_s(tmp_path: Path) -> None:
    text = wscat(HOLE).replace("< {", "{", 2)

    assert broken(tmp_path, text) == []


def test_wscat_that_was_cut_or_wrapped_is_read(tmp_path: Path) -> None:
    whole = wscat(HOLE)

    assert broken(tmp_path, whole.replace('"data": "ok"', '"data": \n"ok"')) == ["RUN-28"]
    assert broken(tmp_path, whole[: whole.index('"status": "completed"')]) == []
    assert broken(tmp_path, whole.replace("< {", "< Received ping\n< {")) == ["RUN-28"]


def test_what_websocat_printed_is_messages(tmp_path: Path) -> None:
    noise = "[INFO  websocat::lints] Auto-inserting the line mode\n"

    assert broken(tmp_path, f"{noise}{LINES}{EMPTY_TOKEN}\nwebsocat: WebSocketError: closed\n") == [
        "EVENT-26"
    ]


# The command.


def test_a_file_that_cannot_be_read_hides_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text(LINES)
    (tmp_path / "bad.jsonl").write_text(EMPTY_TOKEN)
    (tmp_path / "none.har").write_text('{"log":7}')

    found = runwire(tmp_path, "validate", "none.har", "good.jsonl", "bad.jsonl")
    fine = runwire(tmp_path, "validate", "none.har", "good.jsonl")

    assert (found.returncode, fine.returncode) == (1, 2)
    assert "[EVENT-26]" in found.stdout and "none.har" in found.stdout + found.stderr
    assert "good.jsonl: valid" in fine.stdout and "none.har" in fine.stderr


@pytest.mark.property
@settings(max_examples=examples(300), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_damage_to_a_file_is_a_traceback(tmp_path_factory: Any, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([*FORMS.values(), LINES, VERBOSE + body(HOLE)]))
    raw = bytearray(data.draw(st.sampled_from(list(ENCODINGS.values())))(text))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw)))
        if data.draw(st.booleans()):
            raw[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
        else:
            del raw[at:]

    try:
        looked_at(tmp_path_factory.getbasetemp(), bytes(raw))
    except Unreadable as problem:
        assert str(problem)


def test_a_recording_is_still_one(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(recorded([("receive", READY), ("send", START), ("receive", STARTED)]))

    assert isinstance(read(str(tmp_path / "r.jsonl")), Recording)


def test_what_was_not_seen_is_no_pass(tmp_path: Path) -> None:
    def verdicts(content: str) -> Any:
        (tmp_path / "file").write_text(content)
        recording = read(str(tmp_path / "file"))
        assert isinstance(recording, Recording)
        return report_of(recording).verdicts

    timed, untimed = verdicts(recorded(GOOD)), verdicts(wscat(GOOD))
    torn = verdicts(recorded(GOOD[:2]) + "nonsense\n" + recorded(GOOD[2:]))

    assert (timed["BEAT-1"], untimed["BEAT-1"], torn["BEAT-1"]) == ("pass", "not exercised", "not exercised")
    assert (timed["RUN-28"], untimed["RUN-28"], torn["RUN-28"]) == ("pass", "pass", "not exercised")
