"""Chapters 3 to 8: secondary clauses of requirements, each tested separately."""

import asyncio
import json
from itertools import pairwise

from runwire_conformance.case import Broken, NotExercised, NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import LONG_S, beyond
from runwire_conformance.client.conversations.run import contents
from runwire_conformance.client.expectations import expect_ended, expect_ended_by_user
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS, start_run
from runwire_conformance.client.situations.questions import closing, run_that_asks, send_answer
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.limits import Limits

#: Halves of two characters that an agent hands over one by one, and a half that stays alone.
HIGH, LOW = "\\ud83d", "\\ude80"
#: Seconds for which a finished log is waited for, of the minute at least that it is kept.
KEPT_S = 19.0

#: The longest window whose end is waited for, the default of `resume_window_s`.
MOST_WINDOW_S = 300.0


def raw(*steps: str) -> str:
    """Return a script whose steps are written as they stand, halves of characters and all."""
    return '{"runwire_script":[' + ",".join(steps) + "]}"


@proves("EVENT-2", script=True, on=BOTH_TRANSPORTS)
async def halves_are_joined_in_every_kind_of_text(target: Target, transport: str) -> None:
    call = '"call_id":"c1","name":"search"'
    prompt = raw(
        f'{{"thinking":"a{HIGH}"}}',
        f'{{"thinking":"{LOW}b"}}',
        f'{{"tool_delta":{{{call},"data":"a{HIGH}"}}}}',
        f'{{"tool_delta":{{{call},"data":"{LOW}b"}}}}',
        f'{{"tool_call":{{{call},"input":{{}}}}}}',
        f'{{"observation":{{"call_id":"c1","content":"a{HIGH}","partial":true}}}}',
        f'{{"observation":{{"call_id":"c1","content":"{LOW}b","partial":true}}}}',
        '{"observation":{"call_id":"c1","content":"ok"}}',
        f'{{"token":"a{HIGH}"}}',
        f'{{"token":"{LOW}b"}}',
    )

    events = contents(await (await start_run(target, transport, prompt)).whole())

    shown = {
        "thinking": [event["content"] for event in events if event["type"] == "thinking"],
        "tool_delta": [event["data"] for event in events if event["type"] == "tool_delta"],
        "observation": [event["content"] for event in events if event.get("partial")],
        "token": [event["data"] for event in events if event["type"] == "token"],
    }
    for kind, texts in shown.items():
        assert "".join(texts) == "a🚀b", f"{kind}: expected 'a🚀b'; got {json.dumps(texts)}"


@proves("EVENT-2", script=True, on=BOTH_TRANSPORTS)
async def no_character_is_divided_in_a_text_of_many_events(
    target: Target, limits: Limits, transport: str
) -> None:
    count = limits.whole("max_event_bytes") // 4 + 40
    for shift, kind in ((0, "thinking"), (1, "token")):
        text = "x" * shift + "🚀" * count
        # Written out, as escapes of this many characters would be larger than a message may be.
        prompt = json.dumps({"runwire_script": [{kind: text}]}, ensure_ascii=False)
        if len(json.dumps(prompt)) > limits["max_message_bytes"] * 0.95:
            raise NotExercised("max_message_bytes is too small for a text of several events")
        run = await start_run(target, transport, prompt)
        member = "data" if kind == "token" else "content"
        came = "".join(str(event[member]) for event in await run.whole() if event.type == kind)
        assert came == text, f"{kind}: a character was lost where a text of {len(text)} was divided"


@proves("MSG-5", script=True, on=BOTH_TRANSPORTS)
async def a_half_that_stays_alone_costs_no_other_character(target: Target, transport: str) -> None:
    long = "x" * 1500
    prompt = raw(
        f'{{"thinking":"{long}{HIGH}{long}"}}',
        f'{{"token":"{long}{LOW}{long}"}}',
        f'{{"replace":"a{HIGH}"}}',
        '{"token":"b"}',
        f'{{"token":"c{HIGH}"}}',
    )

    run = await start_run(target, transport, prompt)
    events = await run.whole()

    thought = "".join(str(event["content"]) for event in events if event.type == "thinking")
    first = "".join(str(event["data"]) for event in events if event.type == "token")
    for text in (thought, first):
        text.encode()  # a lone surrogate cannot be
        assert text.startswith(long), "what stood before a lone half is lost"
    assert long in thought[len(long) :], "what stood behind a lone half is lost"
    assert run.text.replace("\ufffd", "") == "abc"


@proves(
    "RESUME-6", script=True, connections=2, waits=lambda limits: limits["detach_grace_s"] + 1, timing=True
)
async def a_stream_alone_keeps_the_run_alive(client: Client, target: Target, limits: Limits) -> None:
    if "sse" not in target.features:
        raise NotOffered("the server does not offer sse")
    lasts = limits["detach_grace_s"] + 1
    target.needs_to_outlast_grace(lasts + 1)
    prompt = scripts.script(scripts.token("a"), scripts.wait(lasts * 1000), scripts.token("b"))
    run = await client.start(prompt)
    await run.next_event()
    stream = await (await target.events(run.id)).run()
    client.drop()

    terminal = await stream.terminal(beyond(lasts))

    assert terminal.get("status") == "completed", f"a stream followed the run, which ended: {dict(terminal)}"


@proves("RUN-33", waits=lambda limits: min(KEPT_S, limits["resume_window_s"] * 0.5), timing=True)
async def a_finished_log_is_kept_longer_than_a_moment(client: Client, target: Target, limits: Limits) -> None:
    kept = min(KEPT_S, limits["resume_window_s"] * 0.5)
    run = await client.start(target.brief)
    log = contents(await run.whole())
    client.drop()
    await target.away(kept)

    again = await (await target.connect()).resume(run.id)

    assert contents(await again.whole()) == log


@proves("RUN-33", deadline_s=MOST_WINDOW_S + 60, timing=True)
async def a_finished_log_is_kept_for_its_whole_window(client: Client, target: Target, limits: Limits) -> None:
    kept = limits["resume_window_s"] * 0.95
    if limits["resume_window_s"] > min(target.options.patience_s, MOST_WINDOW_S):
        # No pass of the others hangs on it: the shortest window is longer than the usual patience.
        raise NotExercised(
            f"would take {kept:.15g} s; set a smaller resume_window_s on the server or use --patience {MOST_WINDOW_S:g}"
        )
    run = await client.start(target.brief)
    log = contents(await run.whole())
    client.drop()
    await target.away(kept)

    again = await (await target.connect()).resume(run.id)

    assert contents(await again.whole()) == log


@proves(
    "RUN-15",
    script=True,
    on=BOTH_TRANSPORTS,
    connections=2,
    waits=lambda limits: limits["run_s"] * 1.4,
    timing=True,
)
async def time_spent_queued_is_not_running(target: Target, limits: Limits, transport: str) -> None:
    each = limits["run_s"] * 0.7
    session_id = new_run_id()
    working = scripts.script(scripts.wait(each * 1000))
    first = await start_run(target, transport, working, session_id=session_id)
    second = await start_run(target, transport, working, session_id=session_id)

    ends = [await run.terminal(beyond(each * 2)) for run in (first, second)]

    assert [end.get("status") for end in ends] == ["completed"] * 2, f"got {[dict(end) for end in ends]}"


@proves("RUN-15", script=True, on=BOTH_TRANSPORTS, waits=lambda limits: limits["run_s"] + 1, timing=True)
async def time_spent_waiting_is_not_running(target: Target, limits: Limits, transport: str) -> None:
    if "input" not in target.features:
        raise NotOffered("the server does not offer input")
    waits = limits["run_s"] + 1
    if limits["input_s"] < waits + 2:
        raise NotExercised("input_s is shorter than run_s; set a longer input_s on the server")
    run = await run_that_asks(target, transport, scripts.asking("q1"), scripts.token("on"))

    await asyncio.sleep(waits)
    assert not any(event.is_terminal for event in run.events), "a run that waited for its user ended"
    await send_answer(target, run, "q1", True)

    await closing(run, "q1")
    assert (await run.terminal()).get("status") == "completed"


@proves("RUN-16", script=True, on=BOTH_TRANSPORTS, connections=3, timing=True)
async def three_runs_of_a_session_come_in_their_order(target: Target, transport: str) -> None:
    session_id = new_run_id()
    prompts = [
        scripts.script(scripts.wait(ms), scripts.token("x"), scripts.wait(ms)) for ms in (500, 400, 10)
    ]

    runs = [
        await start_run(target, transport, prompt, run_id=new_run_id(), session_id=session_id)
        for prompt in prompts
    ]

    ends = [await run.terminal(LONG_S) for run in runs]
    for earlier, run in zip(ends, runs[1:], strict=False):
        first_at = run.events[0].at
        assert earlier.at < first_at + target.clock.tolerance, (
            "a run began before the one in front of it had ended"
        )


@proves("BEAT-6", deadline_s=60, waits=lambda limits: 3 * limits["heartbeat_s"], timing=True)
async def pings_keep_their_pace(client: Client, limits: Limits, target: Target) -> None:
    most = limits["heartbeat_s"] + client.clock.tolerance
    moments = [client.ready.at if client.ready is not None else client.trace.began]
    if target.profile.has_script_agent:  # or the connection is idle
        await client.start(scripts.script(scripts.wait(6 * most * 1000)))

    await client.wait_until(lambda: len(client.pings) >= 3, 6 * most, "three Pings")

    moments += client.pings[:3]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    most = limits["heartbeat_s"] + client.clock.tolerance
    assert max(gaps) <= most, (
        f"{max(gaps):.2f} s between two Pings, {limits['heartbeat_s']:g} s at most are allowed"
    )


@proves("SSE-5", script=True)
async def a_stream_tells_that_its_run_failed(target: Target) -> None:
    for code in ("agent_error", "upstream_error", "vendor:broke"):
        stream = await target.start_stream(scripts.script(scripts.token("x"), scripts.fail(code)))
        run = await stream.run()
        terminal = await run.terminal()
        expect_ended(terminal, ("SCRIPT-3", "RUN-14"), type="error", code=code)
        await stream.finished()


@proves("SSE-5", script=True)
async def a_stream_tells_that_its_run_was_cancelled(target: Target) -> None:
    run = await (await target.start_stream(scripts.ENDLESS)).run()
    await run.next_event()
    response = await target.post(target.run_url(run.id, "/cancel"), {})
    if response.status != 200:
        raise Broken(f"expected 200; got {response.status}")

    expect_ended_by_user(await run.terminal(), ("HTTP-8", "CANCEL-1"))
