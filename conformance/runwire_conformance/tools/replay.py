"""Judges a recording again: every sentence that a recording can show, with its verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from runwire_conformance.report.explain import sentence
from runwire_conformance.tools.recording import Recording
from runwire_conformance.tools.validate import BY_THE_CLOCK, Problem, problems_of
from runwire_conformance.trace.printing import fit
from runwire_conformance.trace.trace import Trace
from runwire_spec import catalogue

_EVENTS = frozenset(["token", "thinking", "tool_call", "observation", "done", "error"])
_TOOLS = frozenset(["tool_call", "observation", "tool_delta"])

#: What must have been said for a sentence to be exercised: a message of one of these types, by the side that it binds.
#: `any` is a message of the server, `said` one of the client; `close` a Close frame or the end of a response,
#: `close 40` one whose code begins so; `stream` and `socket` are transports.
EXERCISED: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(["MSG-1", "MSG-2", "MSG-3", "MSG-5", "MSG-6"], frozenset(["any"])),
    **dict.fromkeys(["RUN-27", "RUN-28", "RUN-29", "EVENT-20", "RUN-3"], _EVENTS),
    **dict.fromkeys(["RUN-4", "RUN-5", "OBS-1", "EVENT-28"], frozenset(["done", "error"])),
    **dict.fromkeys(["EVENT-2", "EVENT-3", "EVENT-26"], frozenset(["token"])),
    **dict.fromkeys(["EVENT-7"], _TOOLS),
    **dict.fromkeys(["EVENT-10", "EVENT-11", "EVENT-12", "EVENT-14"], frozenset(["observation"])),
    **dict.fromkeys(["EVENT-8", "EVENT-13"], frozenset(["tool_call"])),
    **dict.fromkeys(["EVENT-21", "EVENT-23"], frozenset(["done"])),
    **dict.fromkeys(["EVENT-22", "EVENT-24", "ERR-1", "ERR-4", "ERR-5"], frozenset(["error"])),
    **dict.fromkeys(["CONN-15", "CONN-16", "CONN-19", "BEAT-1", "BEAT-3"], frozenset(["socket"])),
    "FLOW-8": frozenset(["socket", "stream"]),
    **dict.fromkeys(["BEAT-4"], frozenset(["heartbeat"])),
    **dict.fromkeys(["RESUME-10", "RESUME-25"], frozenset(["resumed"])),
    **dict.fromkeys(["RESUME-24", "RESUME-26"], frozenset(["token", "thinking", "tool_delta"])),
    **dict.fromkeys(["MSG-29", "MSG-30"], frozenset(["started", "resumed", "notice", "error", "heartbeat"])),
    **dict.fromkeys(["OBS-5"], frozenset(["started", "resumed"])),
    **dict.fromkeys(["CLOSE-1", "CLOSE-2", "LIMIT-6"], frozenset(["close"])),
    **dict.fromkeys(
        ["SSE-2", "SSE-3", "SSE-4", "SSE-6", "SSE-7", "SSE-8", "SSE-11", "SSE-12", "SSE-13", "SSE-26"],
        frozenset(["stream"]),
    ),
    **dict.fromkeys(["CANCEL-1", "CANCEL-2", "CANCEL-3"], frozenset(["cancel"])),
    "RESUME-9": frozenset(["resumed"]),
    "CONF-3": frozenset(["ready"]),
    "INPUT-12": frozenset(["input_closed"]),
    "INPUT-19": frozenset(["input_request"]),
    "RUN-14": frozenset(["error"]),
    "SSE-10": frozenset(["stream"]),
    **dict.fromkeys(["MSG-21", "MSG-32"], frozenset(["said"])),
    "BEAT-10": frozenset(["heartbeat"]),
    "CLOSE-4": frozenset(["close 40"]),
    "CLOSE-6": frozenset(["close 44"]),
    "CLOSE-8": frozenset(["close 10"]),
    "RESUME-22": frozenset(["resume"]),
    # A recording shows these when they are broken, and cannot show that they were kept.
    **dict.fromkeys(["CONN-13", "CONN-14", "BEAT-11", "ERR-6", "ERR-8", "CLOSE-7"], frozenset()),
    **dict.fromkeys(["SSE-23", "RESUME-21", "RUN-12"], frozenset()),
    **dict.fromkeys(["CANCEL-13", "CONN-17", "CONN-18", "ERR-3", "MSG-28", "MSG-31", "OBS-2"], frozenset()),
    **dict.fromkeys(["RESUME-12", "RESUME-13", "RESUME-16", "RESUME-17"], frozenset()),
    **dict.fromkeys(["RUN-7", "RUN-10", "RUN-19", "RUN-20", "RUN-24", "RUN-30", "RUN-36"], frozenset()),
}


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
            parts.append(f"{fit(problem)}{told}\n")
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
    seen, seen_in_time = _seen(whole), _seen([trace for trace in whole if trace.timed])
    verdicts = {}
    for identifier, needed in EXERCISED.items():
        requirement = catalogue()[identifier]
        if recording.basic and requirement.conformance_class != "basic":
            continue
        shown = seen_in_time if identifier in BY_THE_CLOCK else seen
        verdicts[identifier] = "pass" if needed & shown else "not exercised"
    for problem in problems:
        if problem.requirement:
            verdicts[problem.requirement] = "advice" if problem.is_advice else "fail"
    return Replayed(verdicts, problems)


def _seen(traces: Sequence[Trace]) -> set[str]:
    seen: set[str] = set()
    for trace in traces:
        seen.add({"websocket": "socket", "sse": "stream"}.get(trace.transport, "exchange"))
        for record in trace.records:
            if record.message is not None:
                seen |= {"any" if record.side == "server" else "said", record.message.type or "start"}
            if record.kind in {"close", "lost"} and record.side == "server":
                seen |= {"close", f"close {str(record.code)[:2]}" if record.code != 1000 else "close"}
    return seen


def _section(identifier: str) -> tuple[str, str]:
    requirement = catalogue()[identifier]
    return requirement.role, requirement.conformance_class


def _number(identifier: str) -> tuple[str, int]:
    family, _, number = identifier.partition("-")
    return family, int(number)
