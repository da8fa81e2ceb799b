"""Files of strangers end in no traceback: nested without end, not UTF-8, of the wrong kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runwire_client.problem import json_object
from runwire_conformance.client.discovery.locate import _discovery
from runwire_conformance.client.wire.http import Response
from runwire_conformance.fuzz.plan import BadPlan, saved_plans
from runwire_conformance.report.matrix import UnreadableReport, read_matrix
from runwire_conformance.settings import SettingsError, read_settings
from runwire_conformance.tools.formats.recording import Unreadable
from runwire_conformance.tools.reading import read
from runwire_conformance.verdict.baseline_file import BaselineError, read_baseline

DEEP = 20_000
FILES: dict[str, bytes] = {
    "arrays": b"[" * DEEP + b"]" * DEEP,
    "objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a little too deep": b'{"a":' * 600 + b"1" + b"}" * 600,
    "deep in a report": b'{"runwire":1,"x":' + b"[" * 800 + b"]" * 800 + b"}",
    "deep in a plan": b'{"runwire_plan":' + b"[" * 800 + b"]" * 800 + b"}",
    "an array of TOML": b"x = " + b"[" * 2000 + b"]" * 2000,
    "a table of TOML": b"x = " + b"{a = " * 2000 + b"1" + b"}" * 2000,
    "a key of TOML": b".".join([b"known"] * 2000) + b" = 1",
    "no text": b"\xff\xfe\x00\xff",
    "a number of many digits": b'{"type":' + b"9" * 10_000 + b"}",
    "a number of many digits in TOML": b"x = " + b"9" * 10_000,
    "a URL that is a number": b'{"log":{"entries":[{"request":{"url":7},"_webSocketMessages":[]}]}}',
}
READERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "validate, replay": (lambda file: read(str(file)), Unreadable),
    "matrix": (lambda file: read_matrix([file]), UnreadableReport),
    "--config": (read_settings, SettingsError),
    "--baseline": (read_baseline, BaselineError),
    "--regressions": (lambda file: saved_plans(file.parent), BadPlan),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, reader: str, name: str) -> None:
    file = tmp_path / "one.json"
    file.write_bytes(FILES[name])
    read_it, refusal = READERS[reader]

    try:
        read_it(file)
    except refusal as problem:
        assert "one.json" in str(problem)
        assert len(str(problem)) < 1000
        assert len(str(problem).splitlines()) == 1


@pytest.mark.parametrize("name", FILES)
def test_an_answer_that_cannot_be_read_is_none(name: str) -> None:
    assert _discovery(Response(200, (), FILES[name])) is None
    assert not isinstance(json_object(FILES[name]), list)
