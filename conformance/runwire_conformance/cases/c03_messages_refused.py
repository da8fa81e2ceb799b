"""Chapter 3: refused messages, with their error codes and close codes."""

import json

from websockets.frames import Opcode

from runwire_conformance.case import NotExercised, proves
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import EVENT_S
from runwire_conformance.client.expectations import expect_member, expect_refused
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.json_reading import MOST_DEPTH
from runwire_conformance.trace.limits import Limits


def nested(depth: int) -> str:
    """Return a start whose arrays and objects nest to `depth`, the message being depth 1; raises NotExercised."""
    if depth > MOST_DEPTH:  # the judge could not read what it sent itself
        raise NotExercised(
            f"json_depth is so large that the judge, who reads {MOST_DEPTH} levels, tries none beyond it"
        )
    inner = "[" * (depth - 2) + "]" * (depth - 2)
    return f'{{"type":"start","id":"deep","prompt":"Say hello.","inputs":{{"x":{inner}}}}}'


def client_features(client: Client) -> list[str]:
    """Return the features that `ready` listed."""
    return list(client.ready.get("features", [])) if client.ready is not None else []


def codes(client: Client) -> list[str]:
    """Return how a malformed `resume` may be refused: where the feature is off, for that reason too."""
    return ["bad_request"] if "resume" in client_features(client) else ["bad_request", "unsupported"]


@proves("MSG-7")
async def a_text_that_is_no_json_closes_with_4400(client: Client) -> None:
    await client.send_text('{"prompt": "unfinished')

    await client.closed_with(4400)


@proves("MSG-7")
async def an_empty_text_closes_with_4400(client: Client) -> None:
    await client.send_text("")

    await client.closed_with(4400)


@proves("MSG-7")
async def not_a_number_closes_with_4400(client: Client) -> None:
    await client.send_text('{"type":"start","prompt":"x","inputs":{"n":NaN}}')

    await client.closed_with(4400)


@proves("MSG-7")
async def bytes_after_the_value_close_with_4400(client: Client) -> None:
    await client.send_text('{"type":"heartbeat"} {"type":"heartbeat"}')

    await client.closed_with(4400)


@proves("MSG-7")
async def a_byte_order_mark_closes_with_4400(client: Client) -> None:
    await client.send_text('\ufeff{"type":"heartbeat"}')

    await client.closed_with(4400)


@proves("MSG-8")
async def an_array_closes_with_4400(client: Client) -> None:
    await client.send_text('[{"type":"heartbeat"}]')

    await client.closed_with(4400)


@proves("MSG-8")
async def a_bare_string_closes_with_4400(client: Client) -> None:
    await client.send_text('"Say hello."')

    await client.closed_with(4400)


@proves("MSG-9")
async def a_binary_message_closes_with_1003(client: Client) -> None:
    await client.send_data(Opcode.BINARY, b'{"type":"heartbeat"}')

    await client.closed_with(1003)


@proves("MSG-10")
async def bytes_that_are_not_utf8_close_with_1007(client: Client) -> None:
    await client.send_data(Opcode.TEXT, b'{"prompt":"\xff\xfe"}')

    await client.closed_with(1007)


@proves("MSG-11")
async def a_frame_beyond_the_limit_closes_with_1009(client: Client, limits: Limits) -> None:
    await client.send_data(Opcode.TEXT, b'{"prompt":"' + b"x" * limits.whole("max_message_bytes") + b'"}')

    await client.closed_with(1009)


@proves("MSG-11")
async def fragments_that_add_up_beyond_the_limit_close_with_1009(client: Client, limits: Limits) -> None:
    half = limits.whole("max_message_bytes") // 2 + 1

    await client.send_data(Opcode.TEXT, b'{"prompt":"' + b"x" * half, fin=False)
    await client.send_data(Opcode.CONT, b"x" * half, fin=False)

    await client.closed_with(1009)


@proves("MSG-13")
async def a_reserved_bit_closes_with_1002(client: Client) -> None:
    await client.send_bytes(bytes([0xC1, 0x80, 0, 0, 0, 0]))

    await client.closed_with(1002)


@proves("MSG-13")
async def a_reserved_opcode_closes_with_1002(client: Client) -> None:
    await client.send_bytes(bytes([0x83, 0x80, 0, 0, 0, 0]))

    await client.closed_with(1002)


@proves("MSG-13")
async def a_frame_without_mask_closes_with_1002(client: Client) -> None:
    await client.send_bytes(b"\x81\x02{}")

    await client.closed_with(1002)


@proves("MSG-14")
async def a_prompt_that_is_no_string_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "start", "prompt": 7})

    expect_refused(answer, "bad_request")
    await client.barrier()


@proves("MSG-14")
async def a_start_without_prompt_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "start"})

    expect_refused(answer, "bad_request")
    await client.barrier()


@proves("MSG-14")
async def an_unknown_policy_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "start", "prompt": "x", "on_disconnect": "never"})

    expect_refused(answer, "bad_request")


@proves("MSG-14")
async def an_id_that_is_too_long_is_refused(client: Client) -> None:
    answer = await client.ask_text(json.dumps({"type": "start", "id": "x" * 65, "prompt": "x"}))

    expect_refused(answer, "bad_request")


@proves("MSG-14")
async def a_bad_id_is_refused_whatever_the_type(client: Client) -> None:
    answer = await client.ask_text('{"type":"vendor:hello","id":7}')

    expect_refused(answer, "bad_request")


@proves("MSG-14")
async def null_for_an_optional_member_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "start", "prompt": "x", "run_id": None})

    expect_refused(answer, "bad_request")
    await client.barrier()


@proves("MSG-15")
async def nesting_beyond_the_limit_is_refused(client: Client, limits: Limits) -> None:
    answer = await client.ask_text(nested(limits.whole("json_depth") + 1))

    expect_refused(answer, "bad_request")
    await client.barrier()


@proves("MSG-16")
async def half_a_surrogate_pair_is_refused(client: Client) -> None:
    answer = await client.ask_text('{"type":"start","id":"s","prompt":"\\ud800"}')

    expect_refused(answer, "bad_request")
    await client.barrier()


@proves("MSG-17")
async def a_boolean_for_an_integer_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "resume", "run_id": new_run_id(), "after": True})

    expect_refused(answer, *codes(client))


@proves("MSG-17")
async def a_fraction_for_an_integer_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "resume", "run_id": new_run_id(), "after": 1.5})

    expect_refused(answer, *codes(client))


@proves("MSG-17")
async def an_integer_beyond_2_to_the_53_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "resume", "run_id": new_run_id(), "after": 2**53})

    expect_refused(answer, *codes(client))


@proves("MSG-17")
async def a_negative_integer_is_refused(client: Client) -> None:
    answer = await client.ask({"type": "resume", "run_id": new_run_id(), "after": -1})

    expect_refused(answer, *codes(client))


@proves("MSG-18")
async def a_repeated_member_name_is_refused(client: Client) -> None:
    answer = await client.ask_text('{"type":"heartbeat","id":"a","id":"a"}')

    expect_refused(answer, "bad_request")


@proves("MSG-19")
async def neither_type_nor_prompt_is_refused(client: Client) -> None:
    answer = await client.ask_text('{"id":"n","inputs":{}}')

    expect_refused(answer, "bad_request")
    await client.barrier()


@proves("MSG-20")
async def a_message_of_exactly_the_limit_is_accepted(client: Client, limits: Limits, target: Target) -> None:
    message = {"type": "start", "id": "big", "prompt": target.short, "inputs": {"padding": ""}}
    room = limits.whole("max_message_bytes") - len(json.dumps(message).encode())
    message["inputs"] = {"padding": "x" * room}

    answer = await client.ask(message, seconds=EVENT_S)

    expect_member(answer, "type", "started")


@proves("MSG-20")
async def nesting_of_exactly_the_limit_is_accepted(client: Client, limits: Limits) -> None:
    answer = await client.ask_text(nested(limits.whole("json_depth")))

    expect_member(answer, "type", "started")
