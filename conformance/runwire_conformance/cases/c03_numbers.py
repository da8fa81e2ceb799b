"""Chapter 3: parsing, comparison and forwarding of numbers."""

import json
import re
from typing import Any

from runwire_conformance.case import Broken, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.expectations import expect_refused
from runwire_conformance.client.target import Target, new_run_id

#: Numbers that every double holds, or that are read as the nearest one.
CARRIED = [
    0,
    1,
    -1,
    0.1,
    -2.5,
    19.99,
    123456.789,
    1e-7,
    5e-324,
    1.5e300,
    2**53 - 1,
    -(2**53 - 1),
    0.30000000000000004,
]
#: Integers that a double may not hold, written as such.
LARGE = [2**53, -(2**53), 2**53 + 1, 1234567890123456789, -(2**63), 2**64]


async def told(target: Target, transport: str, value: Any) -> list[Any]:
    """Return a value as a call and its observation show it to a reader."""
    prompt = scripts.script(scripts.call("n1", "measure", value), scripts.observe("n1", value))
    if transport == "sse":
        run = await (await target.start_stream(prompt)).run()
    else:
        run = await (await target.connect()).start(prompt)
    events = await run.whole()
    shown = {event.type: event for event in events}
    if {"tool_call", "observation"} - shown.keys():
        raise Broken(f"expected a tool_call and its observation; got {[event.type for event in events]}")
    return [shown["tool_call"].get("input"), shown["observation"].get("content")]


@proves("MSG-34", script=True, on=("websocket", "sse"))
async def numbers_arrive_as_they_were_given(target: Target, transport: str) -> None:
    for shown in await told(target, transport, {"numbers": CARRIED}):
        numbers = shown.get("numbers") if isinstance(shown, dict) else None
        assert isinstance(numbers, list)
        plain = [
            number for number in numbers if isinstance(number, int | float) and not isinstance(number, bool)
        ]
        assert [float(number) for number in plain] == [float(number) for number in CARRIED]


@proves("MSG-35", script=True, on=("websocket", "sse"))
async def integers_that_no_double_holds_are_strings(target: Target, transport: str) -> None:
    for shown in await told(target, transport, {"deep": [{"integers": LARGE}]}):
        integers = shown["deep"][0]["integers"]
        for given, came in zip(LARGE, integers, strict=True):
            digits = isinstance(came, str) and re.fullmatch("-?[0-9]+", came) is not None
            assert digits, f"expected {given} as a string of digits; got {json.dumps(came)}"
            assert float(came) == float(given)


@proves("MSG-33")
async def a_number_that_is_not_written_as_an_integer_is_refused(client: Client, target: Target) -> None:
    off = () if "resume" in target.features else ("unsupported",)
    for number, written in enumerate(("1.0", "1e0", "0.1e1")):
        answer = await client.ask_text(
            f'{{"type":"resume","id":"n{number}","run_id":"{new_run_id()}","after":{written}}}'
        )
        expect_refused(answer, "bad_request", *off)


@proves("MSG-36")
async def what_cannot_be_an_id_is_not_repeated(client: Client) -> None:
    for identifier in (7, "", "x" * 65, None, True, ["a"], {"a": "b"}):
        answer = await client.ask_text(json.dumps({"type": "heartbeat", "id": identifier}))
        expect_refused(answer, "bad_request")
        assert "re" not in answer, f"the refusal of the id {json.dumps(identifier)[:70]} has a re"
    await client.barrier()
