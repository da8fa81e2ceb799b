"""Chapter 5: each event of a run."""

import json

from runwire_conformance.case import NotExercised, Wrong, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import END, EVENT_S, EVENTS, LONG_S
from runwire_conformance.client.expectations import (
    expect_completed,
    expect_ended,
    expect_member,
    expect_refused,
    expect_text,
)
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS, start_run, stop
from runwire_conformance.client.target import Target
from runwire_conformance.client.wire.websocket import MAX_MESSAGE
from runwire_conformance.rules.messages import excesses
from runwire_conformance.trace.json_reading import MOST_DEPTH
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message, json_of

#: Seconds for which the agent pauses between two words, where the run may last for longer.
LONGEST_PAUSE_S = 1.5


@proves("EVENT-1", script=True, on=BOTH_TRANSPORTS)
async def the_text_of_a_sub_agent_is_no_answer(target: Target, transport: str) -> None:
    run = await start_run(
        target,
        transport,
        scripts.script(
            scripts.token("own "),
            scripts.call("c1", "helper"),
            scripts.thinking("thought ", agent="helper", parent_call_id="c1"),
            scripts.observe("c1", "part ", partial=True),
            scripts.observe("c1", "result "),
            scripts.token("words"),
        ),
    )

    await run.whole()

    expect_text(run, "own words")


@proves("EVENT-2", script=True, on=BOTH_TRANSPORTS)
async def a_surrogate_pair_that_an_agent_divides_is_joined(target: Target, transport: str) -> None:
    run = await start_run(target, transport, '{"runwire_script":[{"token":"a\\ud83d"},{"token":"\\ude80b"}]}')

    await run.whole()

    expect_text(run, "a🚀b")


@proves("EVENT-4", script=True)
async def text_comes_while_the_agent_works_on_a_stream(target: Target, limits: Limits) -> None:
    if "sse" not in target.features:
        raise NotExercised("the server does not offer sse")
    pause_s = min(LONGEST_PAUSE_S, limits["run_s"] * 0.4)
    stream = await target.start_stream(
        scripts.script(scripts.token("a"), scripts.wait(pause_s * 1000), scripts.token("b"))
    )
    run = await stream.run()

    first = await run.next_event()
    terminal = await run.terminal()

    expect_in_time(terminal, limits)
    took = terminal.at - first.at
    assert took > pause_s * 0.6, (
        f"the end arrived {took:.2f} s after the first token, with a pause of {pause_s:g} s between"
    )


@proves("EVENT-4")
async def text_comes_while_the_agent_works(client: Client, target: Target) -> None:
    scripted = target.profile.has_script_agent
    pause_s = min(LONGEST_PAUSE_S, target.limits["run_s"] * 0.4)
    pause = scripts.script(scripts.token("first"), scripts.wait(pause_s * 1000), scripts.token("last"))
    await client.send({"prompt": pause if scripted else target.long})

    first = await client.message(
        lambda message: message.type == "token", "a token", seconds=EVENT_S, owners=EVENTS
    )
    second = await client.message(
        lambda message: message.type == "token" or message.is_terminal,
        "a second token",
        first.index,
        EVENT_S,
        EVENTS,
    )

    expect_in_time(second, target.limits)
    if second.is_terminal:
        raise Wrong(f"expected a second token; the run ended before it: {json.dumps(second)[:200]}")
    took = second.at - first.at
    assert not scripted or took > pause_s * 0.6, (
        f"the second token arrived {took:.2f} s after the first, with a pause of {pause_s:g} s between"
    )


def expect_in_time(message: Message, limits: Limits) -> None:
    """Raise NotExercised for a terminal which says that the run took too long."""
    if message.is_terminal and message.get("code") == "timeout":
        raise NotExercised(
            f"the run ended with timeout after run_s, {limits['run_s']:g} s; raise run_s on the server or name "
            "prompts with shorter answers"
        )


@proves(
    "EVENT-7",
    script=True,
    on=BOTH_TRANSPORTS,
    watches=("EVENT-3", "EVENT-8", "EVENT-10", "EVENT-11", "EVENT-12", "EVENT-14", "EVENT-26"),
)
async def tool_events_name_their_call(target: Target, transport: str) -> None:
    run = await start_run(target, transport, scripts.EVERYTHING)

    events = await run.whole()

    tools = [event for event in events if event.type in {"tool_delta", "tool_call", "observation"}]
    assert [event.type for event in tools if not isinstance(event.get("call_id"), str)] == []


@proves("EVENT-3", script=True, on=BOTH_TRANSPORTS)
async def a_sub_agent_is_not_named_on_a_token(target: Target, transport: str) -> None:
    run = await start_run(
        target,
        transport,
        '{"runwire_script":[{"token":"x","agent":"helper"},{"replace":"y","parent_call_id":"c1"}]}',
    )

    events = await run.whole()

    named = [event for event in events if event.type in {"token", "replace"}]
    assert [event for event in named if event.keys() & {"agent", "parent_call_id"}] == []


@proves("EVENT-8", script=True, on=BOTH_TRANSPORTS)
async def a_call_is_announced_once_with_its_whole_input(target: Target, transport: str) -> None:
    arguments = {"query": "ü", "list": [1, 2.5, None, True], "nested": {"a": {"b": []}}}
    run = await start_run(
        target, transport, scripts.script(scripts.call("c1", "search", arguments), scripts.observe("c1"))
    )

    events = await run.whole()

    calls = [event for event in events if event.type == "tool_call"]
    assert [(call["call_id"], call["name"], call["input"]) for call in calls] == [("c1", "search", arguments)]


@proves("EVENT-13", script=True, on=BOTH_TRANSPORTS)
async def a_completed_run_has_an_observation_for_every_call(target: Target, transport: str) -> None:
    run = await start_run(target, transport, scripts.EVERYTHING)

    events = await run.whole()

    calls = {event.get("call_id") for event in events if event.type == "tool_call"}
    final = {
        event.get("call_id") for event in events if event.type == "observation" and not event.get("partial")
    }
    assert calls == final


@proves("EVENT-14", script=True, on=BOTH_TRANSPORTS)
async def partial_observations_are_text_that_adds_up(target: Target, transport: str) -> None:
    run = await start_run(target, transport, scripts.EVERYTHING)

    events = await run.whole()

    partial = [event["content"] for event in events if event.type == "observation" and event.get("partial")]
    assert "".join(partial) == "half done"


@proves("EVENT-18", script=True, on=BOTH_TRANSPORTS, watches=("EVENT-20",))
async def an_observation_that_is_too_large_is_cut(target: Target, limits: Limits, transport: str) -> None:
    content = {"text": "ü" * min(limits.whole("max_event_bytes"), MAX_MESSAGE // 4)}
    message = json.dumps({"prompt": scripts.script(scripts.call("c1"), scripts.observe("c1", content))})
    prompt = json.loads(message)["prompt"] if len(message) < limits["max_message_bytes"] else repeated(limits)
    run = await start_run(target, transport, prompt)

    event = await run.event("observation")

    expect_member(event, "truncated", True)
    assert isinstance(event["content"], str)
    written = len(json.dumps(event).encode())  # with every character escaped, which is the longest way
    assert written >= limits["max_event_bytes"] / 4, (
        f"expected an event of at least a quarter of max_event_bytes, {limits['max_event_bytes'] / 4:.0f} bytes; "
        f"got {written}"
    )
    expect_completed(await run.terminal())


def repeated(limits: Limits) -> str:
    """Return a script whose observation fits a message of the client but not an event."""
    size = limits.whole("max_event_bytes") + 100
    return scripts.script(scripts.call("c1"), scripts.observe("c1", "x" * size))


@proves("EVENT-18", script=True, on=BOTH_TRANSPORTS)
async def an_observation_that_is_too_deep_is_sent_as_text(
    target: Target, limits: Limits, transport: str
) -> None:
    deep = deeply(limits.whole("json_depth"))
    run = await start_run(target, transport, scripts.script(scripts.call("c1"), scripts.observe("c1", deep)))

    event = await run.event("observation")

    expect_member(event, "truncated", True)
    assert json_of(event.get("content"), "the content") == deep


def deeply(depth: int) -> list[object]:
    """Return a list that nests to `depth`; raises NotExercised when that is deeper than the judge reads."""
    if depth > MOST_DEPTH:
        raise NotExercised(f"json_depth is {depth}, and the judge reads no deeper than {MOST_DEPTH}")
    value: list[object] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@proves("EVENT-19", script=True, on=BOTH_TRANSPORTS)
async def a_call_that_is_too_large_ends_the_run(target: Target, limits: Limits, transport: str) -> None:
    call = scripts.call("c1", "t", "x" * limits.whole("max_event_bytes"))
    run = await start_run(target, transport, scripts.script(call, scripts.observe("c1")))

    terminal = await run.terminal()

    expect_ended(terminal, type="error", code="payload_too_large")
    assert run.events[0].is_terminal, "the call was sent before the error"


@proves("EVENT-19", script=True, on=BOTH_TRANSPORTS)
async def a_call_that_is_too_deep_ends_the_run(target: Target, limits: Limits, transport: str) -> None:
    call = scripts.call("c1", "t", deeply(limits.whole("json_depth")))
    run = await start_run(target, transport, scripts.script(call, scripts.observe("c1")))

    terminal = await run.terminal()

    expect_ended(terminal, type="error", code="payload_too_large")


@proves("EVENT-20", script=True, on=BOTH_TRANSPORTS)
async def a_token_beyond_the_size_of_an_event_is_divided(
    target: Target, limits: Limits, transport: str
) -> None:
    text = "ü" * (limits.whole("max_event_bytes") // 2 + 10)
    run = await start_run(target, transport, scripts.script(scripts.token(text)))

    await run.terminal()

    expect_text(run, text)


@proves("EVENT-21")
async def done_says_how_it_ended(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})

    done = await client.message(lambda message: message.type == "done", "done", seconds=EVENT_S, owners=END)

    assert done.get("status") in {"completed", "incomplete", "cancelled"}


@proves("EVENT-21", on=BOTH_TRANSPORTS)
async def every_done_says_how_it_ended(target: Target, transport: str) -> None:
    run = await start_run(target, transport, target.brief)

    terminal = await run.terminal()

    if terminal.type == "done":
        assert terminal.get("status") in {"completed", "incomplete", "cancelled"}, (
            f"got {json.dumps(terminal)}"
        )


@proves("EVENT-22")
async def a_refusal_says_its_code_and_whether_to_retry(client: Client) -> None:
    refused = await client.ask({"type": "start", "prompt": 7})

    expect_member(refused, "code", "bad_request")
    expect_member(refused, "retryable", False)


@proves("EVENT-22", script=True, on=BOTH_TRANSPORTS)
async def a_failure_says_its_code_and_whether_to_retry(target: Target, transport: str) -> None:
    run = await start_run(target, transport, scripts.script(scripts.fail()))

    terminal = await run.terminal()

    expect_member(terminal, "code", "agent_error")
    assert isinstance(terminal.get("retryable"), bool)


@proves("EVENT-23", on=BOTH_TRANSPORTS)
async def a_cancelled_run_says_why(target: Target, transport: str) -> None:
    run = await start_run(
        target, transport, scripts.ENDLESS if target.profile.has_script_agent else target.long
    )
    await run.next_event()
    await stop(target, run)

    terminal = await run.terminal()

    assert terminal.get("reason")


@proves("EVENT-23", script=True, on=BOTH_TRANSPORTS, fills=True)
async def a_run_that_was_cut_says_why(target: Target, transport: str) -> None:
    times = target.pieces_beyond_log(4000)
    run = await start_run(
        target, transport, scripts.script(scripts.repeat(times, scripts.thinking("x" * 4000)))
    )

    terminal = await run.terminal(LONG_S)

    assert terminal.get("reason")


@proves("EVENT-28", on=BOTH_TRANSPORTS)
async def a_usage_counts_no_token_twice(target: Target, transport: str) -> None:
    run = await start_run(target, transport, target.short)

    terminal = await run.terminal()

    assert list(excesses(terminal.get("usage"))) == []


@proves("EVENT-24", busy=True)
async def a_refusal_is_told_from_a_terminal(client: Client, target: Target) -> None:
    run = await client.start(scripts.ENDLESS if target.profile.has_script_agent else target.long)

    refused = await client.ask({"type": "start", "prompt": target.short})

    expect_refused(refused, "busy")
    assert refused.keys() & {"run_id", "seq"} == set()
    await client.cancel()
    await run.terminal()


@proves("EVENT-26", script=True, on=BOTH_TRANSPORTS)
async def an_empty_token_is_not_sent(target: Target, transport: str) -> None:
    run = await start_run(target, transport, scripts.script(*scripts.tokens("a", "", "b")))

    events = await run.whole()

    assert [event["data"] for event in events if event.type == "token" and not event["data"]] == []
    expect_text(run, "ab")
