"""Report document: the content of `report.json`, and the source of every other form but the terminal's."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from runwire_conformance.trace.printing import printable_value
from runwire_conformance.trace.trace import Trace
from runwire_conformance.trace.transcript import MOST_LINES, Gap, TranscriptLine, begin_of, lines, masked
from runwire_conformance.verdict.judgement import Accusation, Judgement, Verdict
from runwire_conformance.verdict.result import ClassResult, Report
from runwire_spec import Requirement

Document = dict[str, Any]

#: The variable of the environment with the URL below which the specification's chapters are published.
SPEC_URL = "RUNWIRE_SPEC_URL"

#: How many accusations of a requirement, and conversations of a case, are told in full.
MOST_ACCUSATIONS = 3
MOST_CONVERSATIONS = 4

#: A case that passed is shown shorter, as there are hundreds.
WITNESS_CONVERSATIONS = 2
WITNESS_LINES = 16


def document_of(report: Report, strict: bool = False) -> Document:
    """Return the report as data that `report.schema.json` describes, without any credential."""
    data = {
        "runwire": 1,
        "role": report.role,
        "judge": judge_version(),
        "url": report.reproduction.url,
        "server": report.server,
        "began": datetime.fromtimestamp(report.began, UTC).isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 3),
        "strict": strict,
        "exit_code": report.exit_code(strict),
        "command": report.reproduction.command(),
        "slowest_case": {"case": report.slowest[0], "seconds": round(report.slowest[1], 3)},
        "partial": report.partial,
        "patience_s": report.patience_s,
        "remarks": list(report.remarks),
        "informational": [
            {"name": name, "question": question, "answers": list(answers)}
            for name, question, answers in report.informational
        ],
        "judge_errors": list(report.judge_errors),
        "counts": {str(verdict): len(report.by(verdict)) for verdict in Verdict},
        "classes": [_class(result) for result in report.classes],
        "requirements": [_requirement(judgement, report) for judgement in report.judgements],
    }
    if report.baseline is not None:
        data["baseline"] = {
            "file": report.baseline.file,
            "known": [list(pair) for pair in sorted(report.baseline.known)],
            "breaches": list(report.baseline.breaches),
            "remarks": list(report.baseline.remarks),
        }
    if report.repeats:
        data["repeats"] = {
            "times": report.repeats.times,
            "steady": not report.repeats.differing,
            "differing": {name: dict(counts) for name, counts in report.repeats.differing.items()},
        }
    redacted: Document = printable_value(report.redaction.without(data))
    return redacted


def as_json(document: Document) -> str:
    """Return a report as JSON text."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


@cache
def report_schema() -> Document:
    """Return the JSON Schema of a report."""
    text = files(__package__).joinpath("report.schema.json").read_text(encoding="utf-8")
    schema: Document = json.loads(text)
    return schema


def published(requirement: Requirement) -> str | None:
    """Return where a requirement stands on the published site, if RUNWIRE_SPEC_URL says where that has its chapters."""
    base = os.environ.get(SPEC_URL, "").rstrip("/")
    chapter = requirement.chapter.removesuffix(".md")
    return f"{base}/{chapter}/#{requirement.id}" if base.startswith(("https://", "http://")) else None


@cache
def judge_version() -> str:
    """Return the version of the installed judge."""
    try:
        return version("runwire")
    except PackageNotFoundError:
        return "unknown"


def guilty(document: Document) -> Iterator[Document]:
    """Yield the requirements that failed, then those that earned advice."""
    for verdict in (Verdict.FAIL, Verdict.ADVICE):
        yield from (entry for entry in document["requirements"] if entry["verdict"] == verdict)


def to_configure(document: Document) -> dict[str, list[str]]:
    """Return what was not exercised, the ids by their reason."""
    return _by_reason(document, Verdict.NOT_EXERCISED)


def left_out(document: Document) -> dict[str, list[str]]:
    """Return what the judge did not judge for reasons of its own, the ids by their reason."""
    return _by_reason(document, Verdict.NOT_JUDGED)


def _by_reason(document: Document, verdict: Verdict) -> dict[str, list[str]]:
    by_reason: dict[str, list[str]] = {}
    for entry in document["requirements"]:
        if entry["verdict"] == verdict:
            reason = entry["reasons"][0] if entry["reasons"] else "no case was played"
            by_reason.setdefault(reason, []).append(entry["id"])
    return by_reason


def _class(result: ClassResult) -> Document:
    return {
        "class": result.name,
        "standing": result.standing,
        "passed": result.passed,
        "total": result.total,
        "failed": list(result.failed),
        "not_exercised": list(result.not_exercised),
        "beyond_patience": list(result.impatient),
    }


def _requirement(judgement: Judgement, report: Report) -> Document:
    requirement = judgement.requirement
    entry: Document = {
        "id": requirement.id,
        "class": requirement.conformance_class,
        "keyword": requirement.keyword,
        "verdict": str(judgement.verdict),
        "sentence": requirement.sentence,
        "why": requirement.why,
        "link": requirement.link,
        "url": published(requirement),
        "reasons": list(judgement.reasons),
        "codes": list(judgement.codes),
        "known": report.baseline is not None and report.baseline.knows(judgement),
        "cases": list(judgement.cases),
        "command": report.reproduction.command(requirement.id),
        "accusations": [_accusation(found) for found in judgement.accusations[:MOST_ACCUSATIONS]],
    }
    if judgement.witness is not None:
        witness = judgement.witness
        shown = witness.traces[:WITNESS_CONVERSATIONS]
        entry["witness"] = {
            "case": witness.case,
            "seconds": round(witness.seconds, 3),
            "conversations": [conversation(trace, WITNESS_LINES, begin_of(shown)) for trace in shown],
        }
    return entry


def _accusation(accusation: Accusation) -> Document:
    return {
        "case": accusation.case,
        "code": accusation.code,
        "reason": masked(accusation.reason),
        "details": masked(accusation.details),
        "seconds": round(accusation.seconds, 3),
        "conversations": [
            conversation(trace, since=begin_of(accusation.traces))
            for trace in accusation.traces[-MOST_CONVERSATIONS:]
        ],
    }


def conversation(trace: Trace, most: int = MOST_LINES, since: float | None = None) -> Document:
    """Return a conversation as data, with times from `since` on; what is left out of a long one is counted."""
    return {
        "transport": trace.transport,
        "title": masked(trace.title),
        "lines": [
            {"left_out": line.count}
            if isinstance(line, Gap)
            else {"at": line.at, "side": line.side, "text": line.text, **_marked(line)}
            for line in lines(trace, most, since)
        ],
    }


def _marked(line: TranscriptLine) -> Document:
    return {"broke": line.mark} if line.mark else {}
