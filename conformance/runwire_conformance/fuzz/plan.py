"""Plan of one client's actions, as data that can be saved, printed as a case and played again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runwire_conformance.trace.json_reading import read_json

Script = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Start a run on a line. Runs are counted from 0 in the order of their starts."""

    line: str
    script: Script
    on_disconnect: str = "grace"


@dataclass(frozen=True, slots=True)
class Read:
    """Wait until the line has shown so many events of a run, or its terminal."""

    line: str
    run: int
    events: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a run from a line or by `http`; without a run every one that the line follows."""

    line: str
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Read a run on a line from behind `after`: a second viewer, a moved reader, another transport or a return."""

    line: str
    run: int
    after: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Cut a line without a goodbye."""

    line: str


@dataclass(frozen=True, slots=True)
class Slow:
    """Read slowly on a line from now on."""

    line: str


@dataclass(frozen=True, slots=True)
class Say:
    """Send on a line what starts nothing; `what` is a key of `SAYINGS`."""

    line: str
    what: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the input request of a run from a line or by `http`, once the line has shown it."""

    line: str
    run: int
    by: str = "websocket"


Action = Start | Read | Cancel | Resume | Drop | Slow | Say | Answer

ACTIONS: Mapping[str, type[Action]] = {
    kind.__name__: kind for kind in (Start, Read, Cancel, Resume, Drop, Slow, Say, Answer)
}

#: What `Say` sends, the sentence that asks for the answer, and type and code of that.
SAYINGS: Mapping[str, tuple[Mapping[str, Any], str, tuple[str, str | None]]] = {
    "heartbeat": ({"type": "heartbeat"}, "BEAT-5", ("heartbeat", None)),
    "unknown type": ({"type": "vendor:hello", "seq": 1}, "MSG-24", ("notice", "unknown_type")),
    "malformed start": ({"type": "start", "prompt": ["x"]}, "MSG-14", ("error", "bad_request")),
    "cancel of nothing": (
        {"type": "cancel", "run_id": "nobody-started-this-run"},
        "CANCEL-10",
        ("notice", "not_active"),
    ),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order in which they are done. Lines `w0`, `w1` are WebSocket connections, `s0`, `s1` streams."""

    actions: tuple[Action, ...]

    @property
    def scripts(self) -> list[Script]:
        """The scripts of the runs that are started."""
        return [action.script for action in self.actions if isinstance(action, Start)]


class BadPlan(Exception):
    """A text holds no plan; the message says why."""


def as_json(plan: Plan) -> str:
    """Return a plan as JSON text, the same for equal plans."""
    actions = [{"do": type(action).__name__, **asdict(action)} for action in plan.actions]
    return json.dumps({"runwire_plan": actions}, ensure_ascii=False, indent=1) + "\n"


def from_json(text: str) -> Plan:
    """Return the plan in a JSON text; raises BadPlan."""
    try:
        actions = read_json(text)["runwire_plan"]
        return Plan(tuple(map(_action, actions)))
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise BadPlan(f"holds no plan of the model: {problem}") from None


def _action(given: Mapping[str, Any]) -> Action:
    members = {name: value for name, value in given.items() if name != "do"}
    if "script" in members:
        members["script"] = tuple(members["script"])
    return ACTIONS[given["do"]](**members)


def as_python(plan: Plan, requirement: str) -> str:
    """Return a plan as a case: Python that can be pasted into a file and played by the pytest plug-in."""
    names = sorted({type(action).__name__ for action in plan.actions} | {"Plan"})
    actions = "".join(f"                {_python(action)},\n" for action in plan.actions)
    return (
        "from runwire_conformance.case import proves\n"
        f"from runwire_conformance.fuzz.plan import {', '.join(names)}\n"
        "from runwire_conformance.fuzz.player import play\n"
        "from runwire_conformance.client.target import Target\n\n\n"
        f'@proves("{requirement}", script=True, connections=4)\n'
        "async def the_smallest_conversation_that_breaks_it(target: Target) -> None:\n"
        "    await play(\n        target,\n        Plan(\n            (\n"
        f"{actions}            )\n        ),\n    )\n"
    )


def _python(action: Action) -> str:
    if not isinstance(action, Start):
        return repr(action)
    steps = "".join(f"                        {step!r},\n" for step in action.script)
    lines = [
        f"Start(\n                    {action.line!r},\n                    (\n{steps}",
        "                    ),\n",
        f"                    on_disconnect={action.on_disconnect!r},\n                )",
    ]
    return "".join(lines)


def saved_plans(folder: Path) -> Sequence[tuple[str, str]]:
    """Return name and text of each plan in a folder, which need not exist; raises BadPlan and OSError."""
    plans = []
    for file in sorted(folder.glob("*.json")):
        try:
            text = file.read_text(encoding="utf-8")
            from_json(text)
            plans.append((file.name, text))
        except (BadPlan, UnicodeDecodeError) as problem:
            raise BadPlan(f"{file}: {problem}") from None
    return plans
