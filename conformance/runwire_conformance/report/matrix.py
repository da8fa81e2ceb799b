"""Comparison table of several servers, from their JSON reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jsonschema import Draft202012Validator

from runwire_conformance.report.document import Document, report_schema
from runwire_conformance.report.html import SHOWN, page, prose, style
from runwire_conformance.report.words import PLAIN_SIGNS, SIGNS
from runwire_conformance.trace.json_reading import read_json
from runwire_conformance.trace.printing import code, printable_value
from runwire_spec import catalogue, registries


class UnreadableReport(Exception):
    """A file is not a report; the message names file, place and remedy in one line."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Reports side by side: a name for each server, standings by class, verdicts by requirement."""

    names: tuple[str, ...]
    reports: tuple[Document, ...]

    @property
    def classes(self) -> dict[str, list[str]]:
        """The standing of each server in each class; empty where it was not judged."""
        every = [
            {entry["class"]: entry["standing"] for entry in report["classes"]} for report in self.reports
        ]
        tables = (registries()["classes"], registries()["client_classes"])
        names = [row["class"] for table in tables for row in table]
        return {
            name: [own.get(name, "") for own in every] for name in names if any(name in own for own in every)
        }

    @property
    def requirements(self) -> dict[str, list[str]]:
        """The verdict of each server on each requirement; empty where it was not judged."""
        every = [
            {entry["id"]: entry["verdict"] for entry in report["requirements"]} for report in self.reports
        ]
        known = [*catalogue(), *(name for own in every for name in own if name not in catalogue())]
        return {
            name: [own.get(name, "") for own in every]
            for name in dict.fromkeys(known)
            if any(name in own for own in every)
        }

    @property
    def differing(self) -> dict[str, list[str]]:
        """The requirements on which the servers do not agree, or that one of them breaks."""
        return {
            name: verdicts
            for name, verdicts in self.requirements.items()
            if len(set(verdicts)) > 1 or set(verdicts) & {"fail", "advice", "judge error", "not judged"}
        }


def read_matrix(files: Sequence[Path]) -> Matrix:
    """Return the reports in several files side by side; raises UnreadableReport."""
    reports = tuple(map(_read, files))
    servers = [report["server"] for report in reports]
    names = [
        server if servers.count(server) == 1 else f"{server} at {report['url']}"
        for server, report in zip(servers, reports, strict=True)
    ]
    unique = [
        name if names.count(name) == 1 else f"{name} ({file})"
        for name, file in zip(names, files, strict=True)
    ]
    return Matrix(tuple(unique), reports)


def matrix_as_markdown(matrix: Matrix) -> str:
    """Return the matrix as Markdown."""
    head = f"| | {' | '.join(code(name) for name in matrix.names)} |\n|---|{'---|' * len(matrix.names)}"
    classes = [
        f"| {name} | {' | '.join(f'{SIGNS[standing]} {standing}' if standing else '' for standing in row)} |"
        for name, row in matrix.classes.items()
    ]
    verdicts = [
        f"| {name if name in catalogue() else code(name)} | {' | '.join(_word(verdict) for verdict in row)} |"
        for name, row in matrix.differing.items()
    ]
    parts = ["# Comparison of Runwire conformance", "\n".join([head, *classes])]
    if verdicts:
        parts += ["## Requirements that differ or are broken", "\n".join([head, *verdicts])]
    alike = len(matrix.requirements) - len(matrix.differing)
    parts.append(
        f"The same verdict everywhere, and no failure: {alike} of {len(matrix.requirements)} requirements."
    )
    return "\n\n".join(parts) + "\n"


def matrix_as_html(matrix: Matrix) -> str:
    """Return the matrix as an HTML file that asks nothing of any other place."""
    sentences = {name: prose(requirement.sentence, set()) for name, requirement in catalogue().items()}
    return page("matrix.html.jinja").render(
        matrix=matrix,
        shown={str(verdict): words for verdict, words in SHOWN.items()},
        sentences=sentences,
        signs=PLAIN_SIGNS,
        style=style(),
    )


def _word(verdict: str) -> str:
    words = {str(known): f"{sign} {word}" for known, (sign, word) in SHOWN.items()}
    return words.get(verdict, "")


def _read(file: Path) -> Document:
    try:
        report = read_json(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UnreadableReport(f"{file}: {problem.strerror}") from None
    except ValueError:
        raise UnreadableReport(
            f"{file}: is not JSON; write it with `runwire check URL --json FILE`"
        ) from None
    wrong = next(Draft202012Validator(report_schema()).iter_errors(report), None)
    if wrong is not None:
        place = "/" + "/".join(map(str, wrong.absolute_path))
        said = wrong.message if len(wrong.message) < 100 else f"breaks {wrong.validator}"
        raise UnreadableReport(
            f"{file}: is not a report of `runwire check --json FILE`: {place}: {' '.join(said.split())}"
        )
    document: Document = printable_value(report)
    return document
