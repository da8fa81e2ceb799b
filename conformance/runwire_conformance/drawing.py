"""Draws random plans: strategies of scripts and of client actions for Hypothesis."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from runwire_conformance.naughty import ALPHABET, STRINGS, VALUES
from runwire_conformance.plan import (
    SAYINGS,
    Action,
    Answer,
    Cancel,
    Drop,
    Plan,
    Read,
    Resume,
    Say,
    Slow,
    Start,
)
from runwire_conformance.tidy import Kit, tidied

Steps = list[dict[str, Any]]

#: Texts of every length in UTF-8, with what may divide a line, a field or a JSON text where nothing should.
TEXTS = st.one_of(
    st.text(alphabet="ab ", min_size=1, max_size=6),
    st.text(alphabet=ALPHABET, min_size=1, max_size=6),
    st.sampled_from(STRINGS),
)
_WAITS = st.integers(1, 25)


def _blocks(kit: Kit) -> st.SearchStrategy[Steps]:
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
    if kit.asks:
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


def _scripts(kit: Kit) -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    return st.builds(_numbered, st.lists(_blocks(kit), min_size=1, max_size=5), _ENDS)


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


def actions(kit: Kit) -> st.SearchStrategy[Action]:
    """Return a strategy of single actions, which `tidied` makes a plan of."""
    lines = st.sampled_from(kit.lines)
    sockets = st.sampled_from([line for line in kit.lines if line.startswith("w")])
    runs = st.integers(0, 2)
    kinds: list[st.SearchStrategy[Action]] = [
        st.builds(Start, lines, _scripts(kit), st.sampled_from(["grace", "continue", "cancel"])),
        *[st.builds(Read, lines, runs, st.integers(1, 12))] * 2,
        *[st.builds(Cancel, st.sampled_from(kit.cancels), st.one_of(runs, st.none()))] * 2,
        st.builds(Say, sockets, st.sampled_from([*["heartbeat"] * 3, *sorted(SAYINGS)])),
        st.builds(Slow, sockets),
        st.builds(Drop, lines),
    ]
    if kit.resumes:
        kinds += [st.builds(Resume, lines, runs, st.one_of(st.integers(0, 12), st.just(500)))] * 3
    if kit.asks:
        kinds.append(st.builds(Answer, lines, runs, st.sampled_from(kit.answers)))
    return st.one_of(kinds)


def plans(kit: Kit) -> st.SearchStrategy[Plan]:
    """Return a strategy of plans that this server can be asked to play."""
    first = st.builds(
        Start, st.sampled_from(kit.lines), _scripts(kit), st.sampled_from(["grace", "continue"])
    )
    return st.builds(
        lambda start, others: tidied((start, *others), kit),
        first,
        st.lists(actions(kit), min_size=1, max_size=9),
    )
