"""Replay: a verdict for every requirement that a recording shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from runwire_conformance.report.explain import sentence
from runwire_conformance.rules import by_the_clock, shown_by, shows
from runwire_conformance.tools.formats.recording import Recording
from runwire_conformance.tools.validate import Problem, problems_of
from runwire_conformance.trace.printing import printable
from runwire_spec import catalogue


@dataclass(frozen=True, slots=True)
class Replayed:
    """The verdicts on a recording."""

    verdicts: Mapping[str, str]
    problems: tuple[Problem, ...]

    def exit_code(self, strict: bool = False) -> int:
        """Return 1 when a MUST is broken or a message breaks its schema, 2 when nothing was exercised, else 0."""
        if any(strict or not problem.is_advice for problem in self.problems):
            return 1
        return 0 if "pass" in self.verdicts.values() else 2

    @property
    def text(self) -> str:
        """What a person reads: what is broken, then the verdicts by class."""
        parts = []
        for problem in self.problems:
            told = f"\n{sentence(catalogue()[problem.requirement])}" if problem.requirement else ""
            parts.append(f"{printable(problem)}{told}\n")
        for (role, kind), ids in groupby(sorted(self.verdicts, key=_section), key=_section):
            named = list(ids)
            for verdict in ("fail", "advice", "pass", "not exercised"):
                own = sorted((one for one in named if self.verdicts[one] == verdict), key=_number)
                if own:
                    parts.append(f"  {role} {kind:<8} {verdict:<14} {' '.join(own)}")
        counts = {
            verdict: list(self.verdicts.values()).count(verdict) for verdict in ("pass", "fail", "advice")
        }
        parts.append(
            f"Passed {counts['pass']} · failed {counts['fail']} · advice {counts['advice']} · exit {self.exit_code()}"
        )
        return "\n".join(parts)


def report_of(recording: Recording) -> Replayed:
    """Judge a recording."""
    problems = tuple(problems_of(recording))
    # What is missing or has no times was not seen to be kept.
    whole = [one.trace for one in recording.connections if one.trace.whole]
    seen = {shown for trace in whole for shown in shows(trace)}
    seen_in_time = {shown for trace in whole if trace.timed for shown in shows(trace)}
    clocked, verdicts = by_the_clock(), {}
    for identifier, needed in shown_by().items():
        requirement = catalogue()[identifier]
        if recording.basic and requirement.conformance_class != "basic":
            continue
        shown = seen_in_time if identifier in clocked else seen
        verdicts[identifier] = "pass" if needed & shown else "not exercised"
    for problem in problems:
        if problem.requirement:
            verdicts[problem.requirement] = "advice" if problem.is_advice else "fail"
    return Replayed(verdicts, problems)


def _section(identifier: str) -> tuple[str, str]:
    requirement = catalogue()[identifier]
    return requirement.role, requirement.conformance_class


def _number(identifier: str) -> tuple[str, int]:
    family, _, number = identifier.partition("-")
    return family, int(number)
