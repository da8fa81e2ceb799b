"""Chapter 5: surrogate pairs that are split across events, and unpaired surrogates."""

from runwire_conformance.case import proves
from runwire_conformance.cases.c04_clauses import HIGH, LOW, raw
from runwire_conformance.client.conversations.run import contents
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS, start_run
from runwire_conformance.client.target import Target

CALL = '"call_id":"c1","name":"search"'


@proves("EVENT-31", script=True, on=BOTH_TRANSPORTS)
async def a_half_waits_while_others_speak(target: Target, transport: str) -> None:
    prompt = raw(
        f'{{"token":"a{HIGH}"}}',
        f'{{"thinking":"a{HIGH}","agent":"one"}}',
        f'{{"thinking":"b{HIGH}","agent":"two"}}',
        f'{{"token":"{LOW}b"}}',
        f'{{"thinking":"{LOW}","agent":"one"}}',
        f'{{"thinking":"{LOW}","agent":"two"}}',
        f'{{"replace":"c{HIGH}"}}',
        '{"thinking":"so"}',
        f'{{"token":"{LOW}d"}}',
        f'{{"tool_call":{{{CALL},"input":{{}}}}}}',
        f'{{"thinking":"d{HIGH}","agent":"three","parent_call_id":"c1"}}',
        '{"observation":{"call_id":"c1","content":"ok"}}',
        f'{{"thinking":"{LOW}","agent":"three","parent_call_id":"c1"}}',
    )

    run = await start_run(target, transport, prompt)
    events = await run.whole()

    def told(agent: str) -> str:
        return "".join(str(event["content"]) for event in events if event.get("agent") == agent)

    first = "".join(str(event["data"]) for event in events if event.type == "token")
    assert first.startswith("a🚀b"), f"two halves of the answer with a thought between them became {first!r}"
    assert (told("one"), told("two")) == ("a🚀", "b🚀"), (
        f"halves of two agents' thoughts became {told('one')!r}, {told('two')!r}"
    )
    assert told("three") == "d🚀", (
        f"two halves of a sub-agent's thought with the result of its call between them became {told('three')!r}"
    )
    assert run.text == "c🚀d", f"a replace and the token that goes on from it became {run.text!r}"


@proves("EVENT-31", script=True, on=BOTH_TRANSPORTS)
async def an_empty_text_completes_nothing(target: Target, transport: str) -> None:
    prompt = raw(
        f'{{"thinking":"a{HIGH}"}}',
        '{"thinking":""}',
        f'{{"thinking":"{LOW}b"}}',
        f'{{"token":"c{HIGH}"}}',
        '{"token":""}',
        f'{{"token":"{LOW}d"}}',
        f'{{"tool_delta":{{{CALL},"data":"e{HIGH}"}}}}',
        f'{{"tool_delta":{{{CALL},"data":""}}}}',
        f'{{"tool_delta":{{{CALL},"data":"{LOW}f"}}}}',
        f'{{"tool_call":{{{CALL},"input":{{}}}}}}',
        f'{{"observation":{{"call_id":"c1","content":"g{HIGH}","partial":true}}}}',
        '{"observation":{"call_id":"c1","content":"","partial":true}}',
        f'{{"observation":{{"call_id":"c1","content":"{LOW}h","partial":true}}}}',
        '{"observation":{"call_id":"c1","content":"ok"}}',
    )

    run = await start_run(target, transport, prompt)
    events = await run.whole()

    for kind, member, expected in (
        ("thinking", "content", "a🚀b"),
        ("token", "data", "c🚀d"),
        ("tool_delta", "data", "e🚀f"),
        ("observation", "content", "g🚀hok"),
    ):
        came = "".join(str(event[member]) for event in events if event.type == kind)
        assert came == expected, (
            f"two halves with an empty {kind} between them: expected {expected!r}; got {came!r}"
        )


@proves("EVENT-31", script=True, on=BOTH_TRANSPORTS)
async def a_replace_that_is_half_a_character_is_not_held_back(target: Target, transport: str) -> None:
    prompt = raw('{"token":"a"}', f'{{"replace":"{HIGH}"}}', '{"thinking":"so"}', f'{{"token":"{LOW}b"}}')

    run = await start_run(target, transport, prompt)
    events = await run.whole()

    replaced = [event.get("data") for event in events if event.type == "replace"]
    order = [event.type for event in events if event.type in {"replace", "thinking"}]
    assert (replaced, order, run.text) == ([""], ["replace", "thinking"], "🚀b"), (
        f"a replace of half a character, a thought and the other half became {order}, {replaced} and {run.text!r}"
    )


@proves("EVENT-32", script=True, on=BOTH_TRANSPORTS)
async def a_half_that_nothing_completes_is_told_as_one(target: Target, transport: str) -> None:
    prompt = raw(
        f'{{"token":"a{HIGH}"}}',
        '{"replace":"b"}',
        f'{{"token":"{LOW}c"}}',
        f'{{"tool_delta":{{{CALL},"data":"x{HIGH}"}}}}',
        f'{{"tool_call":{{{CALL},"input":{{}}}}}}',
        f'{{"observation":{{"call_id":"c1","content":"y{HIGH}","partial":true}}}}',
        '{"observation":{"call_id":"c1","content":"ok"}}',
        f'{{"token":"d{HIGH}"}}',
        f'{{"token":"ef{HIGH}"}}',
    )

    events = contents(await (await start_run(target, transport, prompt)).whole())

    came: list[tuple[str, str]] = []
    for event in events:
        text = str(event.get("data" if "data" in event else "content", ""))
        goes_on = came and came[-1][0] == event["type"] and event["type"] != "observation"
        came[-1:] = [(came[-1][0], came[-1][1] + text)] if goes_on else [*came[-1:], (event["type"], text)]
    parts = [text for kind, text in came if kind == "observation"]
    came = [pair for pair in came if pair[0] not in {"observation", "done"}]
    assert came == [
        ("token", "a\ufffd"),
        ("replace", "b"),
        ("token", "\ufffdc"),
        ("tool_delta", "x\ufffd"),
        ("tool_call", ""),
        ("token", "d\ufffdef\ufffd"),
    ], f"got {came}"
    assert ("".join(parts[:-1]), parts[-1]) == ("y\ufffd", "ok"), f"observations arrived as {parts}"
