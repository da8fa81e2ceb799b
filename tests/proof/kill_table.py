"""The kill table: which flaw was blamed, by which case, with which reason."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from runwire_spec import catalogue

from .flaws.flaw import FLAWS, Flaw

JUDGED_CLASSES = frozenset(
    {
        "basic",
        "core",
        "resume",
        "sse",
        "poll",
        "robust",
        "forms",
        "input",
        "auth",
        "tickets",
        "metrics",
        "cluster",
        "script_agent",
    }
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What the judge made of one flaw."""

    flaw: str
    requirement: str
    description: str
    outcome: str
    """`blamed`, `survived` (it passed), `not exercised`, `no case`, or `fault` of the judge or the stand.

    `blamed wrongly` says that the judge accused of something that the flaw does not break, too.
    """
    cases: tuple[str, ...] = ()
    reason: str = ""
    also: tuple[str, ...] = ()
    """The other requirements that were blamed in the same run."""
    seconds: float = 0.0
    whole: bool = False
    """Whether all cases were played and not only those of the requirement."""
    runs: int = 1
    """How often it was tried; more than once where the flaw acts at random."""
    blamed: int = 0
    """In how many of these runs the judge caught it."""
    clause: str = ""
    """The clause of the requirement that the flaw breaks, where it names one."""
    failed: tuple[str, ...] = ()
    """The cases of its requirement that failed; `cases` are the first few that accuse."""

    @property
    def accusations(self) -> int:
        """How many sentences were accused of it: the goal is one, and three at the most."""
        return len(self.also) + (self.outcome in {"blamed", "blamed wrongly"})

    @property
    def killed(self) -> bool:
        """Whether the judge caught the flaw."""
        return self.outcome == "blamed"


def observable() -> tuple[str, ...]:
    """Return the requirements of the judged classes that a test can show to be broken."""
    return tuple(r.id for r in catalogue().values() if r.provable and r.conformance_class in JUDGED_CLASSES)


def without_flaw(flaws: Mapping[str, Flaw] = FLAWS) -> tuple[str, ...]:
    """Return the observable requirements that no flaw breaks."""
    have = {flaw.requirement for flaw in flaws.values()}
    return tuple(identifier for identifier in observable() if identifier not in have)


def never_failing(trials: Iterable[Trial], cases: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the cases that no flaw of these trials made fail; `cases` are those of each requirement."""
    failed = {case for trial in trials for case in trial.failed}
    return tuple(sorted({case for names in cases.values() for case in names} - failed))


def as_json(trials: Sequence[Trial]) -> str:
    """Return the table as data."""
    return json.dumps([asdict(trial) for trial in trials], indent=1, ensure_ascii=False) + "\n"


def as_markdown(trials: Sequence[Trial]) -> str:
    """Return the table for people, chapter by chapter."""
    killed = sum(trial.killed for trial in trials)
    lines = ["# Kill table", "", f"{len(trials)} flaws, {killed} blamed, {len(trials) - killed} not.", ""]
    by_chapter: defaultdict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_chapter[catalogue()[trial.requirement].chapter_title].append(trial)
    for title, chapter in by_chapter.items():
        lines += [f"## {title}", "", "| requirement | flaw | blamed by |", "|---|---|---|"]
        for trial in chapter:
            by = (
                ", ".join(f"`{case}`" for case in trial.cases[:4]) if trial.killed else f"**{trial.outcome}**"
            )
            lines.append(f"| {trial.requirement} | {cell(trial.description)} | {by} |")
        lines.append("")
    return "\n".join(lines)


def as_report(trials: Sequence[Trial], cases: Mapping[str, Sequence[str]]) -> str:
    """Return what needs somebody's attention, as a plain list."""
    survivors = [trial for trial in trials if not trial.killed]
    lines = [f"# Flaws: {len(trials) - len(survivors)} of {len(trials)} blamed", ""]
    lines += ["## Requirements without flaw", "", *[f"- {name}" for name in without_flaw()], ""]
    lines += ["## Not blamed", ""]
    lines += [
        f"- {t.requirement} `{t.flaw}` ({t.outcome}): {t.description} {t.reason}".rstrip() for t in survivors
    ]
    elsewhere = [trial for trial in trials if trial.killed and trial.whole]
    lines += ["", "## Blamed only by cases of other requirements", ""]
    lines += [f"- {t.requirement} `{t.flaw}`: {', '.join(t.cases[:3])}" for t in elsewhere]
    lines += ["", "## Cases never seen to fail", ""]
    lines += [f"- {case}" for case in never_failing(trials, cases)]
    lines += ["", "## Blamed besides", ""]
    for trial in trials:
        if trial.also:
            lines.append(f"- {trial.requirement} `{trial.flaw}`: {', '.join(trial.also)}")
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """Return text that is safe in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
