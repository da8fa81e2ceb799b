"""Scenarios: server actions and expected client behaviour, as data in a closed format."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

from runwire_conformance.trace.json_reading import read_toml
from runwire_spec import catalogue, registries

#: Seconds between two heartbeats of a scenario that says nothing else; short, as a client waits for three of them.
HEARTBEAT_S = 2.0

#: Seconds for which nothing may come where a scenario says that nothing may.
WINDOW_S = 2.0

#: The marks that every play sets: `opened` behind a handshake that is accepted, `greeted` behind `ready`, `begun` at a
#: reader's first step, `ended` behind its last, `over` behind the last event of the log.
OWN_MARKS = frozenset({"opened", "greeted", "begun", "ended", "over"})

#: Steps that only one transport has.
ONLY_ON = {"text": "websocket", "bytes": "sse"}

Plan = Mapping[str, Any]


class ScenarioError(ValueError):
    """A scenario says what cannot be meant; the message names file, scenario and place."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must be seen of a client for a requirement: `see` names the kind, `members` what it is about."""

    requirement: str
    see: str
    members: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a member."""
        return self.members.get(name, default)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario, as its file has it; times are in seconds."""

    name: str
    about: str
    conformance_class: str
    transports: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    log: tuple[Mapping[str, Any], ...]
    also: str = ""
    act: str = ""
    token: bool = False
    whole: bool = False
    basic: bool = False
    poll: bool = False
    foreign: bool = False
    heartbeat_s: float = HEARTBEAT_S
    pace_s: float = 0.005
    window_s: float = WINDOW_S
    stream: Mapping[str, Any] = field(default_factory=dict)
    fragments: int = 0
    given: int = 0
    members: Mapping[str, Any] = field(default_factory=dict)
    discovery: tuple[Plan, ...] = ()
    handshakes: tuple[Plan, ...] = ({"do": "accept"},)
    attaches: tuple[Plan, ...] = ({"steps": [{"rest": True}]},)

    @property
    def ids(self) -> tuple[str, ...]:
        """The requirements that it is about."""
        return tuple(dict.fromkeys(one.requirement for one in self.expectations))


def plan_for(plans: Sequence[Plan], number: int) -> Plan:
    """Return what becomes of the attempt of this number, the first being 1; the last plan stays."""
    return plans[min(number, len(plans)) - 1]


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Return all scenarios, in the order of their files; raises ScenarioError."""
    found: dict[str, Scenario] = {}
    folder = files(__package__).joinpath("scenarios")
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".toml"):
            continue
        for scenario in read_scenarios(file.read_text(encoding="utf-8"), file.name):
            if scenario.name in found:
                raise ScenarioError(f"{file.name}: a second scenario is called {scenario.name}")
            found[scenario.name] = scenario
    return tuple(found.values())


@cache
def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file of scenarios."""
    text = files(__package__).joinpath("scenario.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def read_scenarios(text: str, file: str) -> tuple[Scenario, ...]:
    """Return the scenarios that a TOML text holds; raises ScenarioError."""
    try:
        document = read_toml(text)
    except ValueError as problem:
        raise ScenarioError(f"{file}: {problem}") from None
    for wrong in Draft202012Validator(scenario_schema()).iter_errors(document):
        raise ScenarioError(f"{file}: {_place(wrong.absolute_path, document)}: {_deepest(wrong)}")
    read = tuple(map(_scenario, document["scenario"]))
    for scenario in read:
        for mistake in _mistakes(scenario):
            raise ScenarioError(f"{file}: {scenario.name}: {mistake}")
    return read


def _place(path: Any, document: Any) -> str:
    keys = list(path)
    if len(keys) > 1 and keys[0] == "scenario":
        name = document["scenario"][keys[1]].get("name", f"number {keys[1] + 1}")
        return " ".join([str(name), *("/".join(map(str, keys[2:])),)]).strip()
    return "/".join(map(str, keys)) or "the file"


def _deepest(wrong: Any) -> str:
    """Return the message of the alternative that fits best, as that of a `oneOf` explains nothing."""
    if wrong.validator == "oneOf":
        kind = wrong.instance.get("see")
        for alternative in wrong.context:
            branch = wrong.validator_value[alternative.schema_path[0]]
            if branch["properties"]["see"]["const"] == kind:
                return str(alternative.message)
        known = [branch["properties"]["see"]["const"] for branch in wrong.validator_value]
        return f"unknown expectation {kind!r}; the expectations are: {', '.join(known)}"
    return str(wrong.message)


def _scenario(table: Mapping[str, Any]) -> Scenario:
    expectations = tuple(Expectation(one["id"], one["see"], one) for one in table["expect"])
    given: dict[str, Any] = {
        name: table[name]
        for name in (
            "also",
            "act",
            "token",
            "whole",
            "basic",
            "poll",
            "foreign",
            "heartbeat_s",
            "window_s",
            "stream",
            "fragments",
            "given",
            "members",
        )
        if name in table
    }
    given |= {"pace_s": table["pace_ms"] / 1000} if "pace_ms" in table else {}
    given |= {"discovery": tuple(table["discovery"])} if "discovery" in table else {}
    given |= {"handshakes": tuple(table["handshake"])} if "handshake" in table else {}
    given |= {"attaches": tuple(table["attach"])} if "attach" in table else {}
    return Scenario(
        table["name"],
        table["about"],
        table["class"],
        tuple(table.get("transports", ("websocket", "sse"))),
        expectations,
        tuple({**event, "seq": place} for place, event in enumerate(table.get("log", STANDARD_LOG), 1)),
        **given,
    )


#: The log of a scenario that has none of its own.
STANDARD_LOG: tuple[Mapping[str, Any], ...] = (
    *({"type": "token", "data": f"w{number} "} for number in range(1, 9)),
    {"type": "done", "data": "generation completed", "status": "completed"},
)


def text_of(log: Sequence[Mapping[str, Any]]) -> str:
    """Return the answer text of a log (chapter 5)."""
    text = ""
    for event in log:
        if event["type"] in {"token", "replace"}:
            text = str(event["data"]) if event["type"] == "replace" else text + str(event["data"])
    return text


def _mistakes(scenario: Scenario) -> Iterator[str]:
    """Yield what the schema cannot tell: names that lead nowhere, and what does not apply."""
    known = {row["class"] for row in registries()["client_classes"]}
    for name in filter(None, (scenario.conformance_class, scenario.also)):
        if name not in known:
            yield f"unknown client class {name}; the classes are: {', '.join(sorted(known))}"
    steps = [step for plan in scenario.attaches for step in plan.get("steps", ())]
    if any("gather" in plan for plan in scenario.discovery):
        yield "a discovery document is no stream to gather"
    if scenario.given >= len(scenario.log):
        yield f"given {scenario.given}: the log has {len(scenario.log)} events, and the last one ends it"
    if any("answer" in plan for plan in scenario.attaches) and "websocket" in scenario.transports:
        yield "answer is what a gateway says over HTTP, and not over a WebSocket"
    if (scenario.basic or scenario.handshakes != ({"do": "accept"},)) and "sse" in scenario.transports:
        yield "basic servers and handshakes are of the WebSocket alone"
    marks = OWN_MARKS | {one["mark"] for one in (*steps, *scenario.attaches) if "mark" in one}
    for expectation in scenario.expectations:
        requirement = catalogue().get(expectation.requirement)
        if requirement is None or requirement.role != "client":
            yield f"{expectation.requirement} is not a requirement of the role client"
        elif requirement.keyword == "MAY" or requirement.not_observable_because:
            yield f"{expectation.requirement} cannot be judged"
        for name in ("after_mark", "mark"):
            if expectation.get(name) is not None and expectation.get(name) not in marks:
                yield f"no step sets the mark {expectation.get(name)}; the marks are: {', '.join(sorted(marks))}"
        yield from _does_not_apply(scenario, expectation)
    last = len(scenario.log)
    for step in steps:
        for name, value in step.items():
            if (name in {"events", "event"} and value > last) or (
                name == "merge" and not value[0] < value[1] <= last
            ):
                yield f"{name} {value}: the log has {last} events"
            if name in ONLY_ON and scenario.transports != (ONLY_ON[name],):
                yield f"{name} is a step for {ONLY_ON[name]} alone"
            if name == "close" and value // 100 != 40 and "sse" in scenario.transports:
                yield f"a stream cannot be closed with {value}"
            if name == "await" and scenario.act != value:
                yield f"nobody tells the client to {value}"


def _does_not_apply(scenario: Scenario, expectation: Expectation) -> Iterator[str]:
    """Yield why an expectation could never be anything but held."""
    see = expectation.see
    if see == "attach":
        number = expectation.get("number")
        if number == 1 and (expectation.get("run_id") or expectation.get("token")):
            yield "the first attempt has nothing to be the same or new as"
        if number == 1 and expectation.get("by") == "resume" and not scenario.given:
            yield "the first attempt has no run to resume"
        asked = {"by", "after", "epoch", "run_id", "token", "over", "elsewhere"} & expectation.members.keys()
        if not asked and (expectation.get("optional") or expectation.get("returning")):
            yield f"an attempt {number} of which nothing is asked shows nothing"
    if see == "shows" and scenario.given and expectation.get("text") is not None:
        yield "whether a client shows events before the given cursor is its own choice"
    if see == "shows" and not claims_to_resume(scenario) and _breaks_off(scenario):
        yield "a client that need not resume does not see the end of a run that is broken off"
    if see == "attach" and expectation.get("returning") and not claims_to_resume(scenario):
        yield "only a client that claims to resume has to come back"
    if see == "shows" and not {"text", "ended", "code", "calls"} & expectation.members.keys():
        yield "shows what? name text, ended, code or calls"
    if see == "shows_no_end_before" and scenario.act != "cancel":
        yield "a run that nobody cancels has one end"
    if see == "keeps_credentials" and not (scenario.token and scenario.foreign):
        yield "without token and foreign there is no credential to keep"
    if see == "discovers" and scenario.transports != ("auto",):
        yield "only a client that may choose its transport falls back"
    if see == "polls" and not gathers(scenario):
        yield "no stream is gathered"
    if see == "leaves" and "sse" in scenario.transports:
        yield "a stream has no ready"


def claims_to_resume(scenario: Scenario) -> bool:
    """Whether a client that takes part claims that it comes back."""
    return bool({"resumes", "falls_back"} & {scenario.conformance_class, scenario.also})


def gathers(scenario: Scenario) -> bool:
    """Whether a proxy gathers a stream of it, so that its log has to be polled."""
    return any("gather" in plan.get("answer", {}) for plan in scenario.attaches)


def _breaks_off(scenario: Scenario) -> bool:
    """Whether a reader is ended before the log is."""
    for plan in scenario.attaches:
        steps = list(plan.get("steps", ()))
        ended = next((place for place, step in enumerate(steps) if {"close", "cut"} & step.keys()), None)
        if ended is not None and {"rest": True} not in steps[:ended]:
            return True
    return False


def scenarios_about(requirement: str) -> list[str]:
    """Return the scenarios that are about a requirement, a line each: name, transports, and what happens in it."""
    return [
        f"{one.name.replace('_', ' ')} (over {' and over '.join(one.transports)}): {one.about}"
        for one in scenarios()
        if requirement in one.ids
    ]
