"""Makes a plan of random actions: leaves out what means nothing, and adds what a run needs to end. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from runwire_conformance.model import asks, duration_ms, expected_log, reachable
from runwire_conformance.plan import (
    Action,
    Answer,
    Cancel,
    Drop,
    Plan,
    Read,
    Resume,
    Say,
    Script,
    Slow,
    Start,
)

#: How many runs a plan starts at most.
MOST_RUNS = 3

#: Milliseconds of waiting beyond which a script is cancelled in the end.
LONG_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Kit:
    """What plans may do: their lines, how many runs one of them follows, and the features they use."""

    lines: tuple[str, ...]
    runs_per_line: int
    resumes: bool = False
    asks: bool = False

    @property
    def over_http(self) -> bool:
        """Whether requests are made beside the lines."""
        return any(line.startswith("s") for line in self.lines)

    @property
    def cancels(self) -> tuple[str, ...]:
        """The places from which a run can be cancelled."""
        return (*self.lines, "http") if self.over_http else self.lines

    @property
    def answers(self) -> tuple[str, ...]:
        """The ways to answer an input request."""
        return ("websocket", "http") if self.over_http else ("websocket",)

    def can_play(self, plan: Plan) -> bool:
        """Whether a plan is one of those that are made with this kit."""
        used = {action.line for action in plan.actions}
        streams = any(line.startswith("s") or line == "http" for line in used)
        resumes = any(isinstance(action, Resume) for action in plan.actions)
        questions = any(map(asks, plan.scripts))
        return streams <= self.over_http and resumes <= self.resumes and questions <= self.asks


@dataclass(slots=True)
class _Run:
    """A run; `read` is how many of its events a reader has seen for certain."""

    script: Script
    cancelled: bool = False
    answered: bool = False
    read: int = 0


@dataclass(slots=True)
class _State:
    """What is open when an action is looked at: the runs, and what each line was asked to follow and surely does."""

    runs: list[_Run] = field(default_factory=list)
    asked: dict[str, set[int]] = field(default_factory=dict)
    follows: dict[str, set[int]] = field(default_factory=dict)

    def opens(self, line: str, run: int, most: int, *, surely: bool = True) -> bool:
        """Open a run on a line, when it may follow another one."""
        if line.startswith("s"):
            self.closes(line)
        asked = self.asked.setdefault(line, set())
        if run not in asked and len(asked) >= most:
            return False
        asked.add(run)
        if surely:
            self.follows.setdefault(line, set()).add(run)
        return True

    def follower(self, run: int) -> str | None:
        """Return a line that follows a run, if any does."""
        return next((line for line, runs in self.follows.items() if run in runs), None)

    def closes(self, line: str) -> bool:
        """Close a line, and return whether it was open."""
        self.follows.pop(line, None)
        return self.asked.pop(line, None) is not None


def tidied(actions: Sequence[Action], kit: Kit) -> Plan:
    """Return the plan that is left of random actions."""
    state = _State()
    kept = [fit for action in actions if (fit := _fitted(action, state, kit)) is not None]
    for number, run in enumerate(state.runs):
        kept += _ending(number, run, state)
    return Plan(tuple(kept))


def _fitted(action: Action, state: _State, kit: Kit) -> Action | None:
    if isinstance(action, Start):
        if len(state.runs) == MOST_RUNS or not state.opens(action.line, len(state.runs), kit.runs_per_line):
            return None
        state.runs.append(_Run(action.script))
        return action
    if isinstance(action, Say):
        state.asked.setdefault(action.line, set())
        return action
    if isinstance(action, Slow):
        return action if action.line in state.asked else None
    if isinstance(action, Drop):
        return action if state.closes(action.line) else None
    if isinstance(action, Cancel):
        return _cancel(action, state)
    number = action.run % len(state.runs)
    run, follows = state.runs[number], number in state.follows.get(action.line, ())
    if isinstance(action, Resume):
        beyond = action.after > len(expected_log(run.script))
        after = action.after if beyond else min(action.after, run.read)
        fits = state.opens(action.line, number, kit.runs_per_line, surely=not beyond)
        return replace(action, run=number, after=after) if fits else None
    if isinstance(action, Read):
        events = min(action.events, reachable(run.script, run.answered))
        line = action.line if follows else state.follower(number)
        if line is None or not events:
            return None
        run.read = max(run.read, events)
        return replace(action, line=line, run=number, events=events)
    by_socket = action.by == "websocket" and action.line.startswith("w")
    if not follows or not asks(run.script) or run.answered or not (by_socket or action.by == "http"):
        return None
    run.answered = True
    return replace(action, run=number)


def _cancel(action: Cancel, state: _State) -> Cancel | None:
    if action.line.startswith("s"):
        return None
    if action.run is None:
        if not state.follows.get(action.line):
            return None
        for number in state.follows[action.line]:
            state.runs[number].cancelled = True
        return action
    number = action.run % len(state.runs)
    state.runs[number].cancelled = True
    if action.line != "http":
        state.asked.setdefault(action.line, set())
    return replace(action, run=number)


def _ending(number: int, run: _Run, state: _State) -> Sequence[Action]:
    """Return what has to be done so that a run ends by itself or is cancelled."""
    if run.cancelled:
        return []
    if duration_ms(run.script) < LONG_MS and (run.answered or not asks(run.script)):
        return []
    follower = state.follower(number)
    if duration_ms(run.script) < LONG_MS and follower is not None and follower.startswith("w"):
        return [Answer(follower, number)]
    events = reachable(run.script, run.answered) // 2
    before = [Read(follower, number, events)] if follower is not None and events else []
    return [*before, Cancel("w0", number)]
