"""Chapter 3: framing, the edges of JSON, extension, answers."""

import json

from websockets.frames import Opcode

from runwire_conformance import scripts
from runwire_conformance.bounds import Limits
from runwire_conformance.case import Moot, NotExercised, proves
from runwire_conformance.client import Client
from runwire_conformance.conversation import ANSWER_S, EVENT_S
from runwire_conformance.target import Target, expect_refusal, new_run_id
from runwire_conformance.trace import Message


def nested(depth: int) -> str:
    """Return a start whose arrays and objects nest to `depth`, the message being depth 1."""
    inner = "[" * (depth - 2) + "]" * (depth - 2)
    return f'{{"type":"start","id":"deep","prompt":"Say hello.","inputs":{{"x":{inner}}}}}'


@proves(
    "MSG-1",
    watches=("MSG-2", "MSG-3", "MSG-5", "EVENT-2", "CLOSE-1", "CLOSE-2"),
)
async def every_message_of_a_run_is_one_json_object(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short})
    await client.message(ends_a_run, "the end of the run", seconds=EVENT_S)

    assert [record.kind for record in client.trace.records if record.kind in {"binary", "raw"}] == []


@proves("MSG-1", script=True, watches=("MSG-6", "MSG-29", "MSG-30", "ERR-5"))
async def every_kind_of_event_is_one_json_object(client: Client) -> None:
    run = await client.start(scripts.EVERYTHING)

    await run.whole()

    assert [record.kind for record in client.trace.records if record.kind in {"binary", "raw"}] == []


def ends_a_run(message: Message) -> bool:
    """Whether a message ends a run, on a basic server too."""
    return message.type in {"done", "error"}


@proves("MSG-4")
async def a_message_may_come_in_fragments(client: Client, target: Target) -> None:
    await client.send_fragments({"prompt": target.short}, 5)

    await client.message(lambda message: message.is_event, "an event of the run", seconds=EVENT_S)


@proves("MSG-4")
async def an_empty_fragment_does_not_end_a_message(client: Client, target: Target) -> None:
    first, last = (
        json.dumps({"prompt": target.short}).encode()[:7],
        json.dumps({"prompt": target.short}).encode()[7:],
    )

    await client.send_data(Opcode.TEXT, first, fin=False)
    await client.send_data(Opcode.CONT, b"", fin=False)
    await client.send_data(Opcode.CONT, last)

    await client.message(lambda message: message.is_event, "an event of the run", seconds=EVENT_S)


@proves("MSG-5", script=True)
async def half_a_surrogate_pair_from_an_agent_is_not_passed_on(client: Client) -> None:
    prompt = '{"runwire_script":[{"tool_call":{"call_id":"c1","name":"t","input":"a\\ud800b"}},' + (
        '{"observation":{"call_id":"c1","content":"\\udc00"}}]}'
    )

    run = await client.start(prompt)

    await run.whole()


@proves("MSG-7")
async def a_text_that_is_no_json_closes_with_4400(client: Client) -> None:
    await client.send_text('{"prompt": "unfinished')

    assert await client.closed() == 4400


@proves("MSG-7")
async def an_empty_text_closes_with_4400(client: Client) -> None:
    await client.send_text("")

    assert await client.closed() == 4400


@proves("MSG-7")
async def not_a_number_closes_with_4400(client: Client) -> None:
    await client.send_text('{"type":"start","prompt":"x","inputs":{"n":NaN}}')

    assert await client.closed() == 4400


@proves("MSG-7")
async def bytes_after_the_value_close_with_4400(client: Client) -> None:
    await client.send_text('{"type":"heartbeat"} {"type":"heartbeat"}')

    assert await client.closed() == 4400


@proves("MSG-7")
async def a_byte_order_mark_closes_with_4400(client: Client) -> None:
    await client.send_text('\ufeff{"type":"heartbeat"}')

    assert await client.closed() == 4400


@proves("MSG-8")
async def an_array_closes_with_4400(client: Client) -> None:
    await client.send_text('[{"type":"heartbeat"}]')

    assert await client.closed() == 4400


@proves("MSG-8")
async def a_bare_string_closes_with_4400(client: Client) -> None:
    await client.send_text('"Say hello."')

    assert await client.closed() == 4400


@proves("MSG-9")
async def a_binary_message_closes_with_1003(client: Client) -> None:
    await client.send_data(Opcode.BINARY, b'{"type":"heartbeat"}')

    assert await client.closed() == 1003


@proves("MSG-10")
async def bytes_that_are_not_utf8_close_with_1007(client: Client) -> None:
    await client.send_data(Opcode.TEXT, b'{"prompt":"\xff\xfe"}')

    assert await client.closed() == 1007


@proves("MSG-11")
async def a_frame_beyond_the_limit_closes_with_1009(client: Client, limits: Limits) -> None:
    await client.send_data(Opcode.TEXT, b'{"prompt":"' + b"x" * limits.whole("max_message_bytes") + b'"}')

    assert await client.closed() == 1009


@proves("MSG-11")
async def fragments_that_add_up_beyond_the_limit_close_with_1009(client: Client, limits: Limits) -> None:
    half = limits.whole("max_message_bytes") // 2 + 1

    await client.send_data(Opcode.TEXT, b'{"prompt":"' + b"x" * half, fin=False)
    await client.send_data(Opcode.CONT, b"x" * half, fin=False)

    assert await client.closed() == 1009


@proves("MSG-13")
async def a_reserved_bit_closes_with_1002(client: Client) -> None:
    await client.send_bytes(bytes([0xC1, 0x80, 0, 0, 0, 0]))

    assert await client.closed() == 1002


@proves("MSG-13")
async def a_reserved_opcode_closes_with_1002(client: Client) -> None:
    await client.send_bytes(bytes([0x83, 0x80, 0, 0, 0, 0]))

    assert await client.closed() == 1002


@proves("MSG-13")
async def a_frame_without_mask_closes_with_1002(client: Client) -> None:
    await client.send_bytes(b"\x81\x02{}")

    assert await client.closed() == 1002


@proves("MSG-14")
async def a_prompt_that_is_no_string_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "start", "prompt": 7})

    expect_refusal(answer, "bad_request")
    await client.barrier()


@proves("MSG-14")
async def a_start_without_prompt_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "start"})

    expect_refusal(answer, "bad_request")
    await client.barrier()


@proves("MSG-14")
async def an_unknown_policy_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "start", "prompt": "x", "on_disconnect": "never"})

    expect_refusal(answer, "bad_request")


@proves("MSG-14")
async def an_id_that_is_too_long_is_refused(client: Client) -> None:
    answer = await client.ask_text(json.dumps({"type": "start", "id": "x" * 65, "prompt": "x"}))

    expect_refusal(answer, "bad_request")


@proves("MSG-14")
async def null_for_an_optional_member_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "start", "prompt": "x", "run_id": None})

    expect_refusal(answer, "bad_request")
    await client.barrier()


@proves("MSG-15")
async def nesting_beyond_the_limit_is_refused(client: Client, limits: Limits) -> None:
    answer = await client.ask_text(nested(limits.whole("json_depth") + 1))

    expect_refusal(answer, "bad_request")
    await client.barrier()


@proves("MSG-16")
async def half_a_surrogate_pair_is_refused(client: Client) -> None:
    answer = await client.ask_text('{"type":"start","id":"s","prompt":"\\ud800"}')

    expect_refusal(answer, "bad_request")
    await client.barrier()


@proves("MSG-17")
async def a_boolean_for_an_integer_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "resume", "run_id": new_run_id(), "after": True})

    expect_refusal(answer, *codes(client))


@proves("MSG-17")
async def a_fraction_for_an_integer_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "resume", "run_id": new_run_id(), "after": 1.5})

    expect_refusal(answer, *codes(client))


@proves("MSG-17")
async def an_integer_beyond_2_to_the_53_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "resume", "run_id": new_run_id(), "after": 2**53})

    expect_refusal(answer, *codes(client))


@proves("MSG-17")
async def a_negative_integer_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "resume", "run_id": new_run_id(), "after": -1})

    expect_refusal(answer, *codes(client))


def codes(client: Client) -> list[str]:
    """Return how a malformed `resume` may be refused: where the feature is off, for that reason too."""
    return ["bad_request"] if "resume" in client_features(client) else ["bad_request", "unsupported"]


def client_features(client: Client) -> list[str]:
    """Return the features that `ready` listed."""
    return list(client.ready.get("features", [])) if client.ready is not None else []


@proves("MSG-18")
async def a_repeated_member_name_is_refused(client: Client) -> None:
    answer = await client.ask_text('{"type":"heartbeat","id":"a","id":"a"}')

    expect_refusal(answer, "bad_request")


@proves("MSG-19")
async def neither_type_nor_prompt_is_refused(client: Client) -> None:
    answer = await client.ask_text('{"id":"n","inputs":{}}')

    expect_refusal(answer, "bad_request")
    await client.barrier()


@proves("MSG-20")
async def a_message_of_exactly_the_limit_is_accepted(client: Client, limits: Limits, target: Target) -> None:
    message = {"type": "start", "id": "big", "prompt": target.short, "inputs": {"padding": ""}}
    room = limits.whole("max_message_bytes") - len(json.dumps(message).encode())
    message["inputs"] = {"padding": "x" * room}

    answer = await client.ask(message, seconds=EVENT_S)

    assert answer.type == "started"


@proves("MSG-20")
async def nesting_of_exactly_the_limit_is_accepted(client: Client, limits: Limits) -> None:
    answer = await client.ask_text(nested(limits.whole("json_depth")))

    assert answer.type == "started"


@proves("MSG-22")
async def unknown_members_are_ignored(client: Client, target: Target) -> None:
    await client.send({"prompt": target.short, "vendor:mood": {"deep": [1, None]}, "later": True})

    event = await client.message(
        lambda message: message.is_event or message.type == "error", "an event", seconds=EVENT_S
    )
    assert event.is_event


@proves("MSG-23")
async def an_unknown_type_leaves_the_connection_open(client: Client, target: Target) -> None:
    await client.send({"type": "vendor:hello", "content": "x"})
    await client.send({"prompt": target.short})

    await client.message(
        lambda message: message.is_event and message.type != "error", "an event", seconds=EVENT_S
    )


@proves("MSG-24")
async def an_unknown_type_is_answered_with_a_notice(client: Client) -> None:
    await client.send({"type": "vendor:hello"})

    answer = await client.message(
        lambda message: message.type in {"notice", "error"} and not message.is_aside, "a notice"
    )
    assert (answer.type, answer.get("code")) == ("notice", "unknown_type")


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


@proves("MSG-29", deadline_s=60)
async def heartbeats_of_the_servers_own_have_no_re(client: Client, limits: Limits, target: Target) -> None:
    target.within_patience(limits.silence, "heartbeat_s")

    beat = await client.message(
        lambda message: message.type == "heartbeat", "a heartbeat", seconds=limits.silence + 1
    )

    assert "re" not in beat


@proves("MSG-2")
async def a_heartbeat_has_a_type(client: Client) -> None:
    before = len(client.messages)
    await client.send({"type": "heartbeat"})

    await client.wait_until(lambda: len(client.messages) > before, ANSWER_S, "an answer")

    assert [message for message in client.messages if not message.type] == []


@proves("MSG-6", watches=("MSG-2",))
async def what_is_absent_is_not_null(client: Client, target: Target) -> None:
    await client.send({"type": "start", "prompt": target.short})
    started = await client.message(lambda message: message.type == "started", "started")
    await client.message(lambda message: message.is_terminal, "the terminal", seconds=EVENT_S)

    assert [name for name, value in started.items() if value is None] == []


@proves("MSG-29")
async def what_had_no_id_is_answered_without_re(client: Client, target: Target) -> None:
    if "RUN-3" in client.broken:
        raise Moot("RUN-3")
    await client.send({"prompt": target.short})

    started = await client.message(lambda message: message.type == "started", "started")
    assert "re" not in started


@proves("MSG-30")
async def each_message_gets_one_answer(client: Client) -> None:
    for number in range(5):
        await client.send({"type": "heartbeat", "id": f"h{number}"})
        await client.send({"type": "vendor:hello", "id": f"v{number}"})
    await client.barrier()

    answers = [message["re"] for message in client.messages if str(message.get("re", ""))[:1] in {"h", "v"}]
    assert sorted(answers) == sorted([f"h{n}" for n in range(5)] + [f"v{n}" for n in range(5)])


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

    await client.barrier()

    assert [message.type for message in client.messages if message.type == "error"] == ["error", "error"]


@proves("MSG-31")
async def a_resume_does_not_overtake_a_start(client: Client, target: Target) -> None:
    if "resume" not in target.features:
        raise NotExercised("the server does not offer resume")
    for number in range(5):
        await client.send({"type": "start", "id": f"s{number}", "prompt": target.short, "run_id": "short"})
        await client.send({"type": "resume", "id": f"r{number}", "run_id": new_run_id(), "after": 0})
    started = await client.ask({"type": "start", "prompt": target.short, "id": "start"})
    await client.send({"type": "cancel"})

    order = [message["re"] for message in client.messages if message.get("re")]
    assert started.type == "started"
    assert order == [f"{kind}{number}" for number in range(5) for kind in "sr"] + ["start"]


@proves("MSG-31")
async def starts_are_answered_in_order(client: Client, target: Target, limits: Limits) -> None:
    number = min(4, limits.whole("runs_per_connection"))
    if number < 2:
        raise NotExercised("runs_per_connection is 1")
    asked = [f"s{place}" for place in range(number)]
    for name in asked:
        await client.send({"type": "start", "id": name, "prompt": target.short, "run_id": new_run_id()})
    await client.message(lambda message: message.get("re") == asked[-1], "the last answer")

    assert [message["re"] for message in client.messages if message.get("re") in asked] == asked
