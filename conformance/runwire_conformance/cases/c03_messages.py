"""Chapter 3: framing, JSON edge cases, extensibility, responses."""

import json

from websockets.frames import Opcode

from runwire_conformance.case import Blocked, NotExercised, NotOffered, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import ANSWER_S, END, EVENT_S, EVENTS
from runwire_conformance.client.expectations import expect_member, expect_noticed
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message


def ends_a_run(message: Message) -> bool:
    """Whether a message ends a run, on a basic server too."""
    return message.type in {"done", "error"}


@proves(
    "MSG-1",
    watches=("MSG-2", "MSG-3", "MSG-5", "MSG-37", "EVENT-2", "CLOSE-1", "CLOSE-2"),
    deadline_s=60,
)
async def every_message_of_a_run_is_one_json_object(client: Client, target: Target) -> None:
    await client.send({"prompt": target.plain})
    await client.message(ends_a_run, "the end of the run", seconds=EVENT_S, owners=END)

    assert [record.kind for record in client.trace.records if record.kind in {"binary", "raw"}] == []


@proves("MSG-1", script=True, watches=("MSG-6", "MSG-29", "MSG-30", "ERR-5"))
async def every_kind_of_event_is_one_json_object(client: Client) -> None:
    run = await client.start(scripts.EVERYTHING)

    await run.whole()

    assert [record.kind for record in client.trace.records if record.kind in {"binary", "raw"}] == []


@proves("MSG-4")
async def a_message_may_come_in_fragments(client: Client, target: Target) -> None:
    await client.send_fragments({"prompt": target.short}, 5)

    await client.message(
        lambda message: message.is_event, "an event of the run", seconds=EVENT_S, owners=EVENTS
    )


@proves("MSG-4")
async def an_empty_fragment_does_not_end_a_message(client: Client, target: Target) -> None:
    first, last = (
        json.dumps({"prompt": target.short}).encode()[:7],
        json.dumps({"prompt": target.short}).encode()[7:],
    )

    await client.send_data(Opcode.TEXT, first, fin=False)
    await client.send_data(Opcode.CONT, b"", fin=False)
    await client.send_data(Opcode.CONT, last)

    await client.message(
        lambda message: message.is_event, "an event of the run", seconds=EVENT_S, owners=EVENTS
    )


@proves("MSG-5", script=True)
async def half_a_surrogate_pair_from_an_agent_is_not_passed_on(client: Client) -> None:
    prompt = '{"runwire_script":[{"tool_call":{"call_id":"c1","name":"t","input":"a\\ud800b"}},' + (
        '{"observation":{"call_id":"c1","content":"\\udc00"}}]}'
    )

    run = await client.start(prompt)

    await run.whole()


@proves("MSG-22")
async def unknown_members_are_ignored(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short, "vendor:mood": {"deep": [1, None]}, "later": True})

    event = await client.message(
        lambda message: message.is_event or message.type == "error",
        "an event",
        seconds=EVENT_S,
        owners=EVENTS,
    )
    assert event.is_event


@proves("MSG-23")
async def an_unknown_type_leaves_the_connection_open(client: Client, target: Target) -> None:
    await client.send({"type": "vendor:hello", "content": "x"})
    await client.send({"prompt": target.short})

    await client.message(
        lambda message: message.is_event and message.type != "error",
        "an event",
        seconds=EVENT_S,
        owners=EVENTS,
    )


@proves("MSG-24")
async def an_unknown_type_is_answered_with_a_notice(client: Client) -> None:
    await client.send({"type": "vendor:hello"})

    answer = await client.message(
        lambda message: message.type in {"notice", "error"} and not message.is_aside, "a notice"
    )
    expect_noticed(answer, "unknown_type")


@proves("MSG-28")
async def answers_repeat_the_id(client: Client) -> None:
    await client.send({"type": "heartbeat", "id": "a b ü"})

    answer = await client.message(lambda message: message.type == "heartbeat" and "re" in message, "re")
    assert answer["re"] == "a b ü"


@proves("MSG-28")
async def a_refusal_and_a_notice_repeat_the_id(client: Client) -> None:
    refused = await client.ask({"type": "start", "prompt": 7})
    noticed = await client.ask({"type": "vendor:hello"})

    assert (refused.type, noticed.type) == ("error", "notice")


@proves("MSG-28")
async def a_long_id_is_repeated_whole(client: Client, target: Target) -> None:
    identifier = "x" * 64

    started = await client.ask({"type": "start", "id": identifier, "prompt": target.short})

    assert (started.type, started.get("re")) == ("started", identifier)


@proves("MSG-29", waits=lambda limits: limits.silence)
async def heartbeats_of_the_servers_own_have_no_re(client: Client) -> None:

    beat = await client.heartbeat()

    assert "re" not in beat


@proves("MSG-2")
async def a_heartbeat_has_a_type(client: Client) -> None:
    await client.send_heartbeat()

    assert [message for message in client.messages if not message.type] == []


@proves("MSG-6", watches=("MSG-2",))
async def what_is_absent_is_not_null(client: Client, target: Target) -> None:
    await client.send({"type": "start", "prompt": target.short})
    started = await client.started()
    await client.message(lambda message: message.is_terminal, "the terminal", seconds=EVENT_S, owners=END)

    # A member that this specification does not define may be null.
    assert [name for name, value in started.items() if value is None and ":" not in name] == []


@proves("MSG-29")
async def what_had_no_id_is_answered_without_re(client: Client, target: Target) -> None:
    if "RUN-3" in client.broken:
        raise Blocked("RUN-3")
    await client.send({"prompt": target.short})

    started = await client.started()
    assert "re" not in started


@proves("MSG-30")
async def each_message_gets_one_answer(client: Client) -> None:
    for number in range(5):
        await client.send({"type": "heartbeat", "id": f"h{number}"})
        await client.send({"type": "vendor:hello", "id": f"v{number}"})
    asked = sorted(f"{kind}{number}" for kind in "hv" for number in range(5))
    await client.answered(asked)
    await client.barrier()

    answers = [re for message in client.messages if (re := message.string("re"))[:1] in {"h", "v"}]
    assert sorted(answers) == asked


@proves("MSG-30")
async def a_cancel_that_works_has_no_answer_but_the_log(client: Client, target: Target) -> None:
    run = await client.start(scripts.ENDLESS if target.profile.has_script_agent else target.long)
    await run.next_event()
    await client.send({"type": "cancel", "id": "c"})
    await run.terminal()

    await client.barrier()

    notices = [message for message in client.messages if message.type == "notice" and not message.is_aside]
    assert [message for message in client.messages if message.get("re") == "c"] == notices == []


@proves("MSG-30")
async def a_refusal_is_said_once(client: Client) -> None:
    for message in ({"type": "start", "prompt": 7}, {"type": "resume"}):
        await client.send(message)

    def errors() -> int:
        return sum(message.type == "error" for message in client.messages)

    await client.wait_until(lambda: errors() >= 2, ANSWER_S, "two refusals")
    await client.barrier()

    assert errors() == 2


@proves("MSG-31")
async def a_resume_does_not_overtake_a_start(client: Client, target: Target) -> None:
    if "resume" not in target.features:
        raise NotOffered("the server does not offer resume")
    for number in range(5):
        await client.send({"type": "start", "id": f"s{number}", "prompt": target.short, "run_id": "short"})
        await client.send({"type": "resume", "id": f"r{number}", "run_id": new_run_id(), "after": 0})
    started = await client.ask({"type": "start", "prompt": target.short, "id": "start"})
    await client.send({"type": "cancel"})

    order = [message["re"] for message in client.messages if message.get("re")]
    expect_member(started, "type", "started")
    assert order == [f"{kind}{number}" for number in range(5) for kind in "sr"] + ["start"]


@proves("MSG-31")
async def starts_are_answered_in_order(client: Client, target: Target, limits: Limits) -> None:
    number = min(4, limits.whole("runs_per_connection"))
    if number < 2:
        raise NotExercised("runs_per_connection is 1")
    asked = [f"s{place}" for place in range(number)]
    for name in asked:
        await client.send({"type": "start", "id": name, "prompt": target.short, "run_id": new_run_id()})
    await client.message(
        lambda message: message.get("re") == asked[-1], "the last answer", owners=("RUN-3", "MSG-28")
    )

    assert [message["re"] for message in client.messages if message.get("re") in asked] == asked
