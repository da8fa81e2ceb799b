"""Chapter 16: the steps of the script agent."""

import asyncio
import json
import time

from runwire_conformance.case import Broken, NotOffered, TooSlow, accuses, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import LONG_S
from runwire_conformance.client.conversations.run import Run, contents
from runwire_conformance.client.expectations import expect_completed, expect_ended, expect_text
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS
from runwire_conformance.client.situations.questions import FORM, opened, run_that_asks, send_answer
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.message import Message, object_of

#: The members of events that a script can set.
SAYABLE = frozenset(
    ["type", "data", "content", "call_id", "name", "input", "is_error", "partial", "agent", "parent_call_id"]
)


#: What scripts.EVERYTHING says, adjacent texts joined.
EVERYTHING: list[dict[str, object]] = [
    {"type": "thinking", "content": "Let me\nsee."},
    {"type": "tool_delta", "call_id": "c1", "name": "search", "data": '{"query":"x"}'},
    {"type": "tool_call", "call_id": "c1", "name": "search", "input": {"query": "x"}},
    {"type": "observation", "call_id": "c1", "content": "half done", "partial": True},
    {"type": "observation", "call_id": "c1", "content": {"documents": 3}},
    {"type": "tool_call", "call_id": "c2", "name": "fetch", "input": "a text"},
    {"type": "thinking", "content": "a part works", "agent": "helper", "parent_call_id": "c2"},
    {"type": "observation", "call_id": "c2", "content": "not there", "is_error": True},
    {"type": "token", "data": "A\ndraft."},
    {"type": "replace", "data": "The "},
    {"type": "token", "data": scripts.EVERYTHING_TEXT.removeprefix("The ")},
]


@proves("SCRIPT-1", "SCRIPT-12", script=True)
async def the_log_equals_the_script(client: Client) -> None:
    run = await client.start(scripts.EVERYTHING)

    events = [without_run(event) for event in contents(await run.whole())[:-1]]

    with accuses("SCRIPT-1"):
        assert [outline(event) for event in events] == [outline(event) for event in EVERYTHING]
    with accuses("SCRIPT-12"):
        assert events == EVERYTHING


def outline(event: dict[str, object]) -> dict[str, object]:
    """Return an event with what [SCRIPT-12] is about left out."""
    tool = event["type"] in {"tool_delta", "tool_call", "observation"}
    return {name: event.get(name) for name in ("type", "call_id")} if tool else event


def without_run(event: dict[str, object]) -> dict[str, object]:
    """Return what a script can say of an event, absent defaults left out."""
    return {
        name: value
        for name, value in event.items()
        if name in SAYABLE and not (name in {"is_error", "partial"} and value is False)
    }


@proves("SCRIPT-1", script=True)
async def an_empty_replace_empties_the_answer(client: Client) -> None:
    run = await client.start(scripts.script(scripts.token("a"), {"replace": ""}, scripts.token("b")))

    events = await run.whole()

    assert [event.get("data") for event in events if event.type == "replace"] == [""]
    expect_text(run, "b")


@proves("SCRIPT-1", script=True)
async def a_repeat_plays_its_steps_that_often(client: Client) -> None:
    inner = scripts.repeat(3, scripts.token("b"))
    run = await client.start(scripts.script(scripts.repeat(4, scripts.token("a"), inner), scripts.token("c")))

    await run.terminal()

    expect_text(run, "abbb" * 4 + "c")


@proves("SCRIPT-12", script=True)
async def agent_and_call_stand_beside_every_step_but_text(client: Client) -> None:
    beside = {"agent": "helper", "parent_call_id": "c0"}
    steps = [scripts.call("c1", **beside), {**scripts.delta("c1", "x"), **beside}]
    steps += [
        {**scripts.observe("c1", "half", partial=True), **beside},
        {**scripts.observe("c1", is_error=True), **beside},
    ]
    run = await client.start(scripts.script(*steps))

    events = (await run.whole())[:-1]

    assert [(event.get("agent"), event.get("parent_call_id")) for event in events] == [("helper", "c0")] * 4
    assert events[-1].get("is_error") is True


@proves("SCRIPT-2", script=True)
async def a_script_ends_as_completed(client: Client) -> None:
    run = await client.start(scripts.script())

    terminal = await run.terminal()

    expect_completed(terminal)


@proves("SCRIPT-3", script=True)
async def a_script_fails_as_told(client: Client) -> None:
    run = await client.start(scripts.script(scripts.token("x"), scripts.fail("content_filtered", "not this")))

    terminal = await run.terminal()

    assert (terminal.type, terminal.get("code"), terminal.get("data")) == (
        "error",
        "content_filtered",
        "not this",
    )


@proves("SCRIPT-4", script=True)
async def an_unknown_or_malformed_step_ends_the_run(client: Client) -> None:
    for step in ({"dance": 1}, {"token": 7}, {"wait_ms": "long"}, {"token": "a", "thinking": "b"}, "token"):
        run = await client.start(json.dumps({"runwire_script": [{"token": "x"}, step]}))
        terminal = await run.terminal()
        expect_ended(terminal, type="error", code="agent_error")


@proves("SCRIPT-5", script=True, timing=True)
async def a_wait_notices_a_cancellation_at_once(client: Client) -> None:
    run = await client.start(scripts.QUIET)
    await run.until_text("first ")
    await client.cancel()
    await run.terminal()

    told = await client.start(scripts.script(scripts.report(run.id)))

    await told.terminal()
    stopped, most = object_of(told.text, "the report")["stopped_after_ms"], client.clock.tolerance * 1000
    assert stopped <= most, (
        f"expected the agent to stop at once, within T = {most:.0f} ms; it stopped after {stopped} ms"
    )


@proves("SCRIPT-9", script=True, timing=True)
async def a_report_waits_for_the_agent_to_stop(client: Client) -> None:
    run = await client.start(
        scripts.script(scripts.token("first "), scripts.block(1200), scripts.token("late"))
    )
    await run.until_text("first ")
    handed = await client.cancel()
    await run.terminal()

    told = await client.start(scripts.script(scripts.report(run.id)))

    await told.terminal()
    report = object_of(told.text, "the report")
    assert isinstance(report["steps_after_cancel"], int)
    assert report["stopped_after_ms"] >= 600
    assert time.monotonic() - handed >= 0.8


async def end_of_many_steps(run: Run) -> Message:
    """Return the terminal of a script that takes a server so much time as its machine has for it; raises TooSlow."""
    try:
        terminal = await run.terminal(LONG_S)
    except Broken as problem:
        if not problem.absent:
            raise
        raise TooSlow(
            f"the server played the steps for more than {LONG_S:g} s, and no sentence says how long"
        ) from None
    if terminal.get("code") == "timeout":
        raise TooSlow("run_s was over before the script was; raise it")
    return terminal


@proves("SCRIPT-10", script=True, alone=True, waits=lambda limits: min(limits["run_s"], 10))
async def a_script_beyond_a_million_steps_fails(client: Client) -> None:
    empty = scripts.repeat(1000, scripts.token(""))
    run = await client.start(scripts.script(scripts.repeat(1001, empty)))

    terminal = await end_of_many_steps(run)

    expect_ended(terminal, type="error", code="agent_error")


@proves("SCRIPT-11", script=True)
async def a_prompt_that_only_looks_like_a_script_is_a_prompt(client: Client) -> None:
    told = {"runwire_script": [{"fail": {"code": "vendor:played", "data": "x"}}], "more": 1}
    for prompt in ('{"runwire_script":"x"}', json.dumps(told), '["runwire_script"]'):
        run = await client.start(prompt)
        event = await run.next_event()
        assert event.get("code") not in {"vendor:played", "agent_error"}
        await client.cancel()
        await run.terminal()


@proves("SCRIPT-10", script=True, deadline_s=60, timing=True)
async def a_script_of_many_steps_is_played(client: Client) -> None:
    run = await client.start(
        scripts.script(scripts.repeat(400, scripts.repeat(400, scripts.token(""))), scripts.token("x"))
    )

    terminal = await end_of_many_steps(run)

    assert (terminal.get("status"), run.text) == ("completed", "x")


@proves("SCRIPT-7", script=True, connections=2)
async def a_script_waits_for_its_requests(client: Client, target: Target) -> None:
    if "input" not in target.features:
        raise NotOffered("the server does not offer input")
    before = await client.start(
        scripts.script(scripts.asking("q1"), scripts.token("late")), run_id=new_run_id()
    )
    at_end = await client.start(scripts.script(scripts.token("x"), scripts.asking("q1")), run_id=new_run_id())
    await before.event("input_request")
    await at_end.event("input_request")
    await asyncio.sleep(target.clock.tolerance)
    await client.barrier()

    early = [
        event.type for run in (before, at_end) for event in run.events if event.type in {"token", "done"}
    ]
    for run in (before, at_end):
        await send_answer(target, run, "q1", True)
        await run.terminal()

    assert early == ["token"], "a step was played while a request was open"
    assert (before.text, at_end.text) == ("late", "x")


@proves("SCRIPT-8", script=True)
async def a_script_echoes_the_answer_as_json(target: Target) -> None:
    for kind, data, members in (
        ("approval", True, {}),
        ("question", 'a "quoted" ünïcödé 🚀', {}),
        ("form", {"n": 1, "list": [None, True]}, {"schema": FORM}),
    ):
        run = await run_that_asks(
            target, "websocket", scripts.asking("q1", kind, **members), scripts.echo("q1")
        )
        await send_answer(target, run, "q1", data)
        await run.terminal()
        assert json.loads(run.text) == data


#: Answers of which somebody's form, page or server has trimmed, composed or read something.
ODD_ANSWERS = (
    "  two \t\n",
    "\ufeffe\u0301\u200d",
    "null",
    "0",
    "\0</script>",
    '{"type":"cancel"}',
    "__proto__",
)


@proves("SCRIPT-8", script=True, on=BOTH_TRANSPORTS)
async def odd_answers_are_echoed_as_they_were_given(target: Target, transport: str) -> None:
    names = [f"q{number}" for number in range(len(ODD_ANSWERS))]
    steps = [(scripts.asking(name, "question"), scripts.echo(name), scripts.token("\n")) for name in names]
    run = await run_that_asks(target, transport, *(step for three in steps for step in three))

    for name, data in zip(names, ODD_ANSWERS, strict=True):
        await opened(run, name)
        await send_answer(target, run, name, data)
    await run.terminal()

    assert [json.loads(line) for line in run.text.split("\n")[:-1]] == list(ODD_ANSWERS)


@proves("SCRIPT-8", script=True)
async def a_script_echoes_null_for_what_expired(target: Target) -> None:
    run = await run_that_asks(
        target, "websocket", scripts.asking("q1", expires_in_ms=100), scripts.echo("q1")
    )

    await run.terminal()

    expect_text(run, "null")
