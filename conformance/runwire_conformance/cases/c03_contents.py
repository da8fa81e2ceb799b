"""Chapters 3, 5, 7 and 9: content fidelity, for any text and on every transport."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from runwire_conformance.case import Blocked, Broken, proves
from runwire_conformance.cases.c09_http import accepted, until_finished
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import LONG_S
from runwire_conformance.client.conversations.run import Run, contents
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.edge_values import NAMES, STRINGS, VALUES
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message

#: How many contents one run carries.
AT_ONCE = 24


def in_parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield a corpus in parts that fit one run."""
    for place in range(0, len(values), AT_ONCE):
        yield values[place : place + AT_ONCE]


def saying(texts: Sequence[str]) -> list[scripts.Step]:
    """Return steps that say each text in every way in which a text can be said, on a line of its own."""
    steps: list[scripts.Step] = []
    for number, text in enumerate(texts):
        call = f"c{number}"
        steps += [
            scripts.thinking(text),
            scripts.delta(call, text),
            scripts.call(call, "name of " + text, {"text": text}),
        ]
        steps += [scripts.observe(call, text, partial=True), scripts.observe(call, text), scripts.token(text)]
    return [*steps, {"replace": texts[0]}, *(scripts.token(text) for text in texts[1:])]


def giving(values: Sequence[Any]) -> list[scripts.Step]:
    """Return steps in which tools take and give each value."""
    return [
        step
        for number, value in enumerate(values)
        for step in (scripts.call(f"v{number}", "tool", value), scripts.observe(f"v{number}", value))
    ]


def expected(steps: Sequence[scripts.Step]) -> list[dict[str, Any]]:
    """Return the log of a script, merged wherever that is possible."""
    log: list[dict[str, Any]] = []
    members = {"token": "data", "replace": "data", "thinking": "content"}
    for step in steps:
        ((kind, value),) = step.items()
        event = {"type": kind, members[kind]: value} if kind in members else {"type": kind, **value}
        log.append(event)
    return log


def same(shown: Any, given: Any) -> bool:
    """Whether a value is the one that was given; a `null` among many is as good as any other value."""
    if isinstance(given, bool) or isinstance(shown, bool) or given is None:
        return shown is given
    if isinstance(given, dict):
        return (
            isinstance(shown, dict)
            and shown.keys() == given.keys()
            and all(same(shown[k], given[k]) for k in given)
        )
    if isinstance(given, list):
        return isinstance(shown, list) and len(shown) == len(given) and all(map(same, shown, given))
    if isinstance(given, int | float):
        return isinstance(shown, int | float) and float(shown) == float(given)
    return type(shown) is type(given) and bool(shown == given)


def compared(events: Sequence[dict[str, Any]], steps: Sequence[scripts.Step]) -> None:
    """Expect that a log holds what its script said; raises Broken with the first difference."""
    shown = contents([Message({k: v for k, v in event.items() if k != "run_id"}) for event in events[:-1]])
    wanted = contents([Message(event) for event in expected(steps)])
    for came, given in zip(shown, wanted, strict=False):
        for name, value in given.items():
            if not same(came.get(name), value):
                shown_as = json.dumps(came.get(name))[:200]
                raise Broken(f"{given['type']} {name}: expected {json.dumps(value)[:200]}; got {shown_as}")
    if len(shown) != len(wanted):
        raise Broken(f"expected {len(wanted)} events, merged; got {len(shown)}")


async def finished(run: Run) -> list[dict[str, Any]]:
    """Return the whole log of a run that is to complete; raises Broken."""
    events = await run.whole()
    if events[-1].get("status") != "completed":
        raise Broken(f"expected the run to complete; got {json.dumps(events[-1])[:300]}")
    return [dict(event) for event in events]


@proves("SCRIPT-1", script=True, deadline_s=60)
async def odd_texts_arrive_over_a_websocket(client: Client) -> None:
    for texts in in_parts(STRINGS):
        steps = saying(texts)
        compared(await finished(await client.start(scripts.script(*steps))), steps)


@proves("SCRIPT-12", script=True, deadline_s=60)
async def odd_values_arrive_over_a_websocket(client: Client) -> None:
    for values in in_parts(VALUES):
        steps = giving(values)
        compared(await finished(await client.start(scripts.script(*steps))), steps)


@proves("SSE-5", script=True, deadline_s=60)
async def odd_contents_arrive_over_a_stream(target: Target) -> None:
    for texts in in_parts(STRINGS):
        steps = saying(texts)
        compared(await finished(await (await target.start_stream(scripts.script(*steps))).run()), steps)
    for values in in_parts(VALUES):
        steps = giving(values)
        compared(await finished(await (await target.start_stream(scripts.script(*steps))).run()), steps)


@proves("RESUME-10", script=True, deadline_s=60)
async def odd_contents_arrive_by_resuming(client: Client, target: Target) -> None:
    for part in (*map(saying, in_parts(STRINGS)), *map(giving, in_parts(VALUES))):
        run = await client.start(scripts.script(*part))
        await finished(run)
        compared(await finished(await client.resume(run.id)), part)
        if "sse" in target.features:
            compared(await finished(await (await target.events(run.id)).run()), part)


@proves("HTTP-5", script=True, deadline_s=60)
async def odd_texts_stand_in_the_status(target: Target) -> None:
    for texts in in_parts(STRINGS):
        run_id = str((await accepted(target, scripts.script(*saying(texts))))["run_id"])
        status = await until_finished(target, run_id)
        assert status["status"] == "completed"
        assert status["text"] == "".join(texts), "the answer text in the status is not what the agent said"


@proves("MSG-22", deadline_s=60)
async def odd_names_and_values_are_taken(client: Client, target: Target) -> None:
    odd = {f"vendor:{name}": value for name, value in zip(NAMES, VALUES, strict=False)}
    inputs = {name: list(VALUES) for name in NAMES}

    run = await client.start(target.brief, inputs=inputs, **odd)
    await run.terminal()
    for name in ("__proto__", "constructor", "", "toString"):
        answer = await client.ask({"type": "heartbeat", name: {"type": "cancel"}})
        assert answer.type == "heartbeat", f"a heartbeat with a member {name!r}: got {answer.type}"


@proves("MSG-24")
async def types_that_languages_know_are_unknown(client: Client) -> None:
    if "MSG-28" in client.broken:
        raise Blocked("MSG-28")
    for kind in (
        "__proto__",
        "constructor",
        "toString",
        "hasOwnProperty",
        "then",
        " ",
        "Start",
        "start ",
        "\0",
        "é",
    ):
        answer = await client.ask({"type": kind, "prompt": "x", "run_id": new_run_id()})
        assert (answer.type, answer.get("code")) == ("notice", "unknown_type"), (
            f"{kind!r}: got {json.dumps(answer)[:200]}"
        )


@proves("RUN-2", deadline_s=60)
async def odd_prompts_are_prompts(client: Client, limits: Limits) -> None:
    prompts = ("", "\0e\u0301\u200d</script>🚀", '{"runwire_script":', "null")
    most = limits.whole("runs_per_connection")
    for place in range(0, len(prompts), most):
        runs = [await client.start(text, run_id=new_run_id()) for text in prompts[place : place + most]]
        for run in runs:
            await run.terminal(LONG_S)
