"""Baseline file: TOML with one `[[known]]` table per failure."""

import json
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

from runwire_conformance.trace.json_reading import read_toml
from runwire_conformance.verdict.baseline import Known
from runwire_conformance.verdict.reason import EARLIER_CODES

PREFACE = """\
# Known failures, which do not fail the gate. Written by `runwire check --update-baseline`, which keeps what you add
# to an entry: expires = 2030-12-31, the last day on which the failure is accepted, and note = "why".
"""

MEMBERS = ("requirement", "reason", "expires", "note")


class BaselineError(Exception):
    """A baseline cannot be read or written; the message names place and remedy."""


def read_baseline(path: Path) -> list[Known]:
    """Return the entries of a file; raises BaselineError."""
    try:
        text = path.read_text(encoding="utf-8")
        document = read_toml(text)
    except FileNotFoundError:
        raise BaselineError(f"{path} does not exist; --update-baseline writes it") from None
    except OSError as problem:
        raise BaselineError(f"{path}: {problem.strerror}") from None
    except ValueError as problem:
        raise BaselineError(f"{path}: {problem}") from None
    entries = document.pop("known", [])
    if document or not isinstance(entries, list):
        raise BaselineError(f"{path}: a baseline may contain only [[known]] tables")
    places = [number for number, line in enumerate(text.splitlines(), 1) if line.strip() == "[[known]]"]
    located = len(places) == len(entries)
    return [
        _entry(entry, f"{path}:{places[index]}" if located else f"{path}: entry {index + 1}")
        for index, entry in enumerate(entries)
    ]


def write_baseline(path: Path, baseline: Iterable[Known]) -> None:
    """Write a file; raises BaselineError."""
    parts = [PREFACE]
    for entry in baseline:
        lines = ["[[known]]", f"requirement = {json.dumps(entry.requirement)}"]
        lines.append(f"reason = {json.dumps(entry.reason)}")
        lines += [f"expires = {entry.expires}"] if entry.expires else []
        lines += [f"note = {json.dumps(entry.note, ensure_ascii=False)}"] if entry.note else []
        parts.append("\n".join(lines) + "\n")
    try:
        path.write_text("\n".join(parts), encoding="utf-8")
    except OSError as problem:
        raise BaselineError(f"cannot write {path}: {problem.strerror}") from None


def _entry(entry: Any, place: str) -> Known:
    if not isinstance(entry, dict):
        raise BaselineError(f"{place}: a baseline contains [[known]] tables")
    if unknown := [name for name in entry if name not in MEMBERS]:
        raise BaselineError(f"{place}: unknown key {unknown[0]}; the keys are: {', '.join(MEMBERS)}")
    for name in ("requirement", "reason"):
        if not isinstance(entry.get(name), str):
            raise BaselineError(f"{place}: {name} is missing or not a string")
    expires, note = entry.get("expires"), entry.get("note", "")
    if expires is not None and (not isinstance(expires, date) or isinstance(expires, datetime)):
        raise BaselineError(f"{place}: expires must be a date such as 2030-12-31, without quotes")
    if not isinstance(note, str):
        raise BaselineError(f"{place}: note must be a string")
    reason = str(entry["reason"])
    return Known(entry["requirement"], EARLIER_CODES.get(reason, reason), expires, note)
