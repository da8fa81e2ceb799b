"""Reads the specification's Markdown and finds its requirements, references, registries and mistakes.

The grammar is told in CONTRIBUTING.md. Everything here is a pure function of the text.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from runwire_spec import Requirement

KEYWORDS = re.compile(
    r"\b(MUST NOT|SHOULD NOT|MUST|SHOULD|MAY|SHALL NOT|SHALL|REQUIRED|RECOMMENDED|OPTIONAL)\b"
)
ALLOWED = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"}
OPENING = re.compile(r"\*\*\[([A-Z]+)-([1-9][0-9]*)\]\*\*\s+")
REFERENCE = re.compile(r"(?<!\*)\[([A-Z]+-[0-9]+)\]")
MARKER = re.compile(r"\s*\*\((Class|Not observable|Withdrawn)\b[: ]?\s*(.*?)\.?\)\*\s*$", re.DOTALL)
CLASS_LINE = re.compile(r"Class: `([a-z_]+)`$")
REGISTRY_LINE = re.compile(r"Registry: `([a-z_]+)`$")
HEADING = re.compile(r"(#{1,6})\s+(.*)$")
LINK = re.compile(r"\]\(([^)\s]+)\)")
ROLE = re.compile(r"A (server|client)\b")
CODE = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, heading, quote, list or table: lines without a blank one between."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the text, with the place where it stands."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(slots=True)
class Extract:
    """What a set of chapters holds: requirements in order, registries by name, and the problems found."""

    requirements: list[Requirement] = field(default_factory=list)
    withdrawn: set[str] = field(default_factory=set)
    registries: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """Every id that the text uses, withdrawn ones included."""
        return {requirement.id for requirement in self.requirements} | self.withdrawn

    def as_json(self) -> list[dict[str, str | None]]:
        """Return the requirements as plain values for `requirements.json`."""
        return [asdict(requirement) for requirement in self.requirements]


def extract(chapters: dict[str, str]) -> Extract:
    """Extract from `chapters`, the texts by file name; only files named `NN-….md` may hold requirements."""
    result = Extract()
    for name, text in chapters.items():
        _Chapter(name, text, result).read()
    _check_numbers(result)
    _check_classes(result)
    for name, text in chapters.items():
        result.problems.extend(_check_references(name, text, result.ids, chapters))
    result.problems.sort(key=lambda problem: (problem.file, problem.line))
    return result


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a Markdown text outside fenced code, with the number of their first line."""
    lines: list[str] = []
    start, fenced = 0, False
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            line = ""
        if fenced or not line.strip():
            if lines:
                yield Block(start, "\n".join(lines))
            lines = []
        else:
            start = start if lines else number
            lines.append(line)


class _Chapter:
    """Walks through one file's blocks with the heading and class that hold at each."""

    def __init__(self, name: str, text: str, result: Extract) -> None:
        self.name = name
        self.text = text
        self.result = result
        self.numbered = re.match(r"\d\d-", name) is not None
        self.headings: list[str] = []
        self.classes: dict[int, str] = {}

    def read(self) -> None:
        found = list(blocks(self.text))
        for index, block in enumerate(found):
            following = found[index + 1] if index + 1 < len(found) else None
            if heading := HEADING.match(block.text):
                depth = len(heading[1])
                self.headings = [*self.headings[: depth - 1], heading[2]]
                self.classes = {level: name for level, name in self.classes.items() if level < depth}
            elif line := CLASS_LINE.match(block.text):
                if index == 0 or not HEADING.match(found[index - 1].text):
                    self.problem(block.line, "a Class: line must stand directly under a heading")
                self.classes[len(self.headings)] = line[1]
            elif line := REGISTRY_LINE.match(block.text):
                self.registry(line[1], following)
            elif OPENING.match(block.text):
                self.requirement(block, following)
            else:
                self.prose(block)

    def problem(self, line: int, message: str) -> None:
        self.result.problems.append(Problem(self.name, line, message))

    def prose(self, block: Block) -> None:
        for offset, line in enumerate(block.text.splitlines()):
            for keyword in KEYWORDS.findall(CODE.sub("", line)):
                self.problem(block.line + offset, f"{keyword} stands outside an identified sentence")

    def requirement(self, block: Block, following: Block | None) -> None:
        opening = OPENING.match(block.text)
        assert opening is not None
        identifier = f"{opening[1]}-{opening[2]}"
        if identifier in self.result.ids:
            self.problem(block.line, f"[{identifier}] is used twice; ids are never used again")
            return
        if not self.numbered:
            self.problem(block.line, f"[{identifier}] must stand in a numbered chapter")
        sentence, markers = _strip_markers(block.text[opening.end() :])
        if "Withdrawn" in markers:
            self.result.withdrawn.add(identifier)
            return
        plain = CODE.sub("", sentence)
        keywords = KEYWORDS.findall(plain)
        if len(keywords) != 1 or keywords[0] not in ALLOWED:
            said = " and ".join(keywords) or "none"
            self.problem(block.line, f"[{identifier}] must hold exactly one keyword, not {said}")
        role = ROLE.match(sentence)
        if role is None:
            self.problem(block.line, f"[{identifier}] must begin with its role, 'A server' or 'A client'")
        if not re.search(r"\.$", sentence) or re.search(r"[.!?]\s+[A-Z]", plain):
            self.problem(block.line, f"[{identifier}] must be one sentence that ends with a full stop")
        conformance_class = markers.get("Class", "").strip("`") or self.current_class()
        if not conformance_class:
            self.problem(block.line, f"[{identifier}] belongs to no class; write Class: under the heading")
        why = None
        if following is not None and following.text.startswith("> Why:"):
            quoted = [line.lstrip(">").strip() for line in following.text.splitlines()]
            why = " ".join(quoted).removeprefix("Why:").strip()
        self.result.requirements.append(
            Requirement(
                id=identifier,
                keyword=keywords[0] if keywords else "",
                role=role[1] if role else "",
                conformance_class=conformance_class or "",
                sentence=sentence,
                chapter=self.name,
                chapter_title=self.headings[0] if self.headings else self.name,
                section=self.headings[-1] if self.headings else self.name,
                why=why,
                not_observable_because=markers.get("Not observable"),
            )
        )

    def current_class(self) -> str | None:
        return self.classes[max(self.classes)] if self.classes else None

    def registry(self, name: str, table: Block | None) -> None:
        rows = [_cells(line) for line in table.text.splitlines()] if table else []
        if table is None or len(rows) < 3 or not set("".join(rows[1])) <= set("-: "):
            line = table.line if table else 1
            self.problem(line, f"registry `{name}` must be followed by a table with at least one row")
            return
        columns = [re.sub(r"[^a-z0-9]+", "_", cell.lower()) for cell in rows[0]]
        entries: list[dict[str, str]] = []
        for offset, cells in enumerate(rows[2:], start=2):
            if len(cells) != len(columns):
                self.problem(
                    table.line + offset, f"registry `{name}`: {len(cells)} cells, not {len(columns)}"
                )
                continue
            entry = dict(zip(columns, (cell.replace("`", "") for cell in cells), strict=True))
            if any(entry[columns[0]] == other[columns[0]] for other in entries):
                self.problem(table.line + offset, f"registry `{name}` holds {entry[columns[0]]} twice")
            entries.append(entry)
        if name in self.result.registries:
            self.problem(table.line, f"registry `{name}` is defined twice")
        self.result.registries[name] = entries


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _strip_markers(text: str) -> tuple[str, dict[str, str]]:
    markers: dict[str, str] = {}
    text = text.strip()
    while found := MARKER.search(text):
        # The lazy body may have swallowed an earlier marker: the last one begins at the last "*(".
        begin = text.rindex("*(")
        found = MARKER.match(text, begin) or found
        markers[found[1]] = " ".join(found[2].split())
        text = text[: found.start()].rstrip()
    return " ".join(text.split()), markers


def _check_numbers(result: Extract) -> None:
    numbers: dict[str, list[int]] = {}
    homes: dict[str, str] = {}
    for identifier in sorted(result.ids):
        prefix, number = identifier.rsplit("-", 1)
        numbers.setdefault(prefix, []).append(int(number))
    for prefix, used in numbers.items():
        missing = sorted(set(range(1, max(used) + 1)) - set(used))
        if missing:
            gaps = ", ".join(f"{prefix}-{number}" for number in missing)
            result.problems.append(
                Problem("spec", 1, f"{gaps} missing: withdraw a requirement, do not delete it")
            )
    for requirement in result.requirements:
        prefix = requirement.id.rsplit("-", 1)[0]
        if homes.setdefault(prefix, requirement.chapter) != requirement.chapter:
            message = f"[{requirement.id}]: the prefix {prefix} belongs to {homes[prefix]}"
            result.problems.append(Problem(requirement.chapter, 1, message))


def _check_classes(result: Extract) -> None:
    known = {row["class"] for row in result.registries.get("classes", [])}
    for requirement in result.requirements:
        if known and requirement.conformance_class and requirement.conformance_class not in known:
            message = (
                f"[{requirement.id}] names the class {requirement.conformance_class}, which is not registered"
            )
            result.problems.append(Problem(requirement.chapter, 1, message))


def _check_references(name: str, text: str, ids: set[str], chapters: dict[str, str]) -> Iterator[Problem]:
    for block in blocks(text):
        for offset, line in enumerate(block.text.splitlines()):
            plain = CODE.sub("", line)
            for identifier in REFERENCE.findall(plain):
                if identifier not in ids:
                    yield Problem(name, block.line + offset, f"[{identifier}] refers to no requirement")
            for target in LINK.findall(plain):
                file, _, fragment = target.partition("#")
                if "://" in target:
                    continue
                if file and file not in chapters:
                    yield Problem(name, block.line + offset, f"the link {target} leads to no chapter")
                elif re.fullmatch(r"[A-Z]+-[0-9]+", fragment) and fragment not in ids:
                    yield Problem(name, block.line + offset, f"the link {target} refers to no requirement")
