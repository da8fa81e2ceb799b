"""One judging of a client: the plays and their report."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from runwire_conformance.tools.check_client.client_under_test.launch_parameters import PLACEHOLDERS
from runwire_conformance.tools.check_client.client_under_test.profile import ClientProfile, bound
from runwire_conformance.tools.check_client.scenario import Scenario, scenarios
from runwire_conformance.tools.check_client.suite import Suite
from runwire_conformance.tools.check_client.verdicts import judge_client, results
from runwire_conformance.verdict.reproduction import Reproduction
from runwire_conformance.verdict.result import Report

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")


@dataclass(frozen=True, slots=True)
class ClientReproduction(Reproduction):
    """How a client was judged: its command stands where a server's URL does."""

    words: tuple[str, ...] = ()

    def command(self, requirement: str = "") -> str:
        """Return the command that judges everything again, or one requirement."""
        only = ("--requirement", requirement) if requirement else self.selection
        words = self.words if self.words[:1] == ("--listen",) else ("--", *self.words)
        return " ".join(["runwire", "check-client", *only, *self.options, *map(shown_word, words)])


def shown_word(word: str) -> str:
    """Return a word of a command for a shell; a placeholder needs no quotes."""
    return word if re.fullmatch(r"[\w./:=@%+,{}-]+", word) else shlex.quote(word)


@dataclass(frozen=True, slots=True)
class Selection:
    """What of the suite is judged: requirements by their ids, scenarios by a part of their names; by default all."""

    requirements: frozenset[str] = frozenset()
    keyword: str = ""

    def has(self, scenario: Scenario) -> bool:
        """Whether a scenario is played."""
        if self.requirements and not self.requirements & set(scenario.ids):
            return False
        return self.keyword in scenario.name

    @property
    def wanted(self) -> Sequence[str]:
        """The requirements that are judged."""
        about = {name for scenario in scenarios() if self.has(scenario) for name in scenario.ids}
        return [
            name for name in bound() if name in about and (not self.requirements or name in self.requirements)
        ]

    @property
    def partial(self) -> str:
        """What narrows the judging, in words."""
        parts = [f"--requirement {','.join(sorted(self.requirements))}"] if self.requirements else []
        return " ".join([*parts, *([f"-k {self.keyword}"] if self.keyword else [])])


@dataclass(frozen=True, slots=True)
class ClientUnderTest:
    """A client as it was called, for a report."""

    words: tuple[str, ...]
    profile: ClientProfile
    choice: Selection
    options: tuple[str, ...] = ()
    began: float = 0.0
    remarks: Sequence[str] = field(default_factory=tuple)

    @property
    def name(self) -> str:
        """What the client is called in a report."""
        if self.words[:1] == ("--listen",):
            return "a client started by hand"
        return " ".join(map(shown_word, self.words))


def report_of(suite: Suite, judged: ClientUnderTest, seconds: float, interrupted: bool = False) -> Report:
    """Return the report on everything that was played."""
    if interrupted:
        suite.leave_out("interrupted")
    narrowed = (
        judged.choice.partial,
        "interrupted" if interrupted else "",
        "the time limit expired" if suite.timed_out else "",
    )
    partial = ", ".join(filter(None, narrowed))
    judgements = judge_client(suite.plays, judged.profile, judged.choice.wanted, suite.returning)
    slowest = max(suite.plays, key=lambda play: play.seconds, default=None)
    return Report(
        "",
        judged.name,
        judgements,
        results(judgements, judged.profile, partial),
        seconds,
        (slowest.name, slowest.seconds) if slowest else ("", 0.0),
        tuple(dict.fromkeys(play.error for play in suite.plays if play.error)),
        (*judged.remarks, *_remarks(suite, judged.profile)),
        partial,
        interrupted,
        suite.patience_s,
        began=judged.began,
        reproduction=ClientReproduction(judged.name, judged.options, _selection(judged.choice), judged.words),
        role="client",
    )


def _selection(choice: Selection) -> tuple[str, ...]:
    ids = ("--requirement", ",".join(sorted(choice.requirements))) if choice.requirements else ()
    return (*ids, *(("-k", choice.keyword) if choice.keyword else ()))


def _remarks(suite: Suite, profile: ClientProfile) -> list[str]:
    remarks = []
    unclaimed = [name for name in ("cancels", "resumes", "falls_back") if name not in profile.classes]
    if unclaimed:
        remarks.append(f"Only claimed classes were judged; to claim more use --claim {','.join(unclaimed)}")
    if not any(play.reported for play in suite.plays):
        remarks.append(
            "The client does not report what it displays, so only its messages were judged; see"
            " `runwire check-client --help`"
        )
    if wrong := next((play.misreported for play in suite.plays if play.misreported), ""):
        remarks.append(f"A report of the client was invalid: {wrong}")
    return [*remarks, *_hurried(suite)]


def _hurried(suite: Suite) -> Iterator[str]:
    """Yield where a client did not wait as long as a refusal asked it to, which no sentence binds it to."""
    for play in suite.plays:
        asked = play.scenario.attaches[0].get("refuse", {}).get("retry_after_ms", 0) / 1000
        if play.tried_again_s is not None and play.tried_again_s < asked:
            yield (
                f"The client was asked to wait {asked:g} s but retried after {play.tried_again_s:.1f} s"
                f" ({play.transport});"
                " no requirement obliges it to wait that long"
            )


def mistaken_placeholder(words: Sequence[str]) -> str:
    """Return the first placeholder in a command that does not exist, or an empty string."""
    named = (name for word in words for name in _PLACEHOLDER.findall(word))
    return next((name for name in named if name not in PLACEHOLDERS), "")
