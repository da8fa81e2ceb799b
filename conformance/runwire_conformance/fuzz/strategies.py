"""Hypothesis strategies for plans, which omit meaningless actions and add those that end the run. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from runwire_conformance.fuzz.model import asks, duration_ms, expected_log, reachable
from runwire_conformance.fuzz.plan import (
    SAYINGS,
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
from runwire_conformance.trace.edge_values import ALPHABET, STRINGS, VALUES

#: How many runs a plan starts at most.
MOST_RUNS = 3

#: Milliseconds of waiting beyond which a script is cancelled in the end.
LONG_MS = 1000.0


@dataclass(frozen=True, slots=True)
class PlanScope:
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


def valid_plan(actions: Sequence[Action], scope: PlanScope) -> Plan:
    """Return the plan that is left of random actions."""
    state = _State()
    kept = [fit for action in actions if (fit := _fitted(action, state, scope)) is not None]
    for number, run in enumerate(state.runs):
        kept += _ending(number, run, state)
    return Plan(tuple(kept))


def _fitted(action: Action, state: _State, scope: PlanScope) -> Action | None:
    if isinstance(action, Start):
        if len(state.runs) == MOST_RUNS or not state.opens(action.line, len(state.runs), scope.runs_per_line):
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
        fits = state.opens(action.line, number, scope.runs_per_line, surely=not beyond)
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


Steps = list[dict[str, Any]]

#: Texts of every length in UTF-8, with what may divide a line, a field or a JSON text where nothing should.
TEXTS = st.one_of(
    st.text(alphabet="ab ", min_size=1, max_size=6),
    st.text(alphabet=ALPHABET, min_size=1, max_size=6),
    st.sampled_from(STRINGS),
)
_WAITS = st.integers(1, 25)


def _blocks(scope: PlanScope) -> st.SearchStrategy[Steps]:
    """Return strategies of steps that belong together; `{}` in a call_id is filled in later."""
    call = {"call_id": "", "name": "search"}
    kinds: list[st.SearchStrategy[Steps]] = [
        st.lists(st.builds(lambda text: {"token": text}, TEXTS), min_size=1, max_size=4),
        st.lists(st.builds(lambda text: {"thinking": text}, TEXTS), min_size=1, max_size=2),
        st.builds(lambda text: [{"replace": text}], TEXTS),
        st.builds(lambda ms: [{"wait_ms": ms}], _WAITS),
        st.builds(lambda ms: [{"block_ms": ms * 3}], _WAITS),
        st.builds(
            lambda times, text: [{"repeat": times, "steps": [{"token": text}]}], st.integers(2, 60), TEXTS
        ),
        st.builds(
            lambda parts, answer: [
                {"tool_delta": {**call, "data": '{"a":'}},
                {"tool_call": {**call, "input": {"a": answer}}},
                *({"observation": {"call_id": "", "content": part, "partial": True}} for part in parts),
                {"observation": {"call_id": "", "content": answer}},
            ],
            st.lists(TEXTS, max_size=2),
            st.one_of(TEXTS, st.integers(-5, 5), st.sampled_from(VALUES), st.lists(TEXTS, max_size=1)),
        ),
    ]
    if scope.asks:
        question = {"request_id": "q", "kind": "approval", "data": "May I?"}
        kinds.append(st.just([{"input_request": question}, {"echo_input": "q"}]))
    return st.one_of(kinds)


_ENDS = st.sampled_from(
    [
        (),
        (),
        (),
        ({"fail": {"code": "agent_error", "data": "on purpose"}},),
        ({"wait_ms": 4000},),
        ({"wait_ms": 4000},),
    ]
)


def _scripts(scope: PlanScope) -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    return st.builds(_numbered, st.lists(_blocks(scope), min_size=1, max_size=5), _ENDS)


def _numbered(blocks: list[Steps], end: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the steps of blocks with a call_id of its own for each tool, and at most one question."""
    steps: list[dict[str, Any]] = []
    asked = False
    for number, block in enumerate(blocks):
        if "input_request" in block[0]:
            if asked:
                continue
            asked = True
        for step in block:
            kind = next(iter(step))
            value = step[kind]
            named = isinstance(value, dict) and "call_id" in value
            steps.append({kind: {**value, "call_id": f"c{number}"}} if named else step)
    return (*steps, *end)


def actions(scope: PlanScope) -> st.SearchStrategy[Action]:
    """Return a strategy of single actions, which `valid_plan` makes a plan of."""
    lines = st.sampled_from(scope.lines)
    sockets = st.sampled_from([line for line in scope.lines if line.startswith("w")])
    runs = st.integers(0, 2)
    kinds: list[st.SearchStrategy[Action]] = [
        st.builds(Start, lines, _scripts(scope), st.sampled_from(["grace", "continue", "cancel"])),
        *[st.builds(Read, lines, runs, st.integers(1, 12))] * 2,
        *[st.builds(Cancel, st.sampled_from(scope.cancels), st.one_of(runs, st.none()))] * 2,
        st.builds(Say, sockets, st.sampled_from([*["heartbeat"] * 3, *sorted(SAYINGS)])),
        st.builds(Slow, sockets),
        st.builds(Drop, lines),
    ]
    if scope.resumes:
        kinds += [st.builds(Resume, lines, runs, st.one_of(st.integers(0, 12), st.just(500)))] * 3
    if scope.asks:
        kinds.append(st.builds(Answer, lines, runs, st.sampled_from(scope.answers)))
    return st.one_of(kinds)


def plans(scope: PlanScope) -> st.SearchStrategy[Plan]:
    """Return a strategy of plans that this server can be asked to play."""
    first = st.builds(
        Start, st.sampled_from(scope.lines), _scripts(scope), st.sampled_from(["grace", "continue"])
    )
    return st.builds(
        lambda start, others: valid_plan((start, *others), scope),
        first,
        st.lists(actions(scope), min_size=1, max_size=9),
    )
