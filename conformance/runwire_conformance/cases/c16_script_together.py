"""Chapter 16: independence of script steps from the steps around them."""

from typing import Any

from runwire_conformance.case import proves
from runwire_conformance.cases.c16_script_agent import without_run
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.run import contents
from runwire_conformance.client.expectations import expect_same_log
from runwire_conformance.client.situations.any_transport import BOTH_TRANSPORTS, start_run
from runwire_conformance.client.target import Target

#: How often the round is played: what the second one leaves behind shows in the third.
ROUNDS = 3


@proves("SCRIPT-1", script=True, on=BOTH_TRANSPORTS)
async def a_repeat_says_the_same_in_each_round(target: Target, transport: str) -> None:
    # No two neighbours may be merged, so that each step shows by itself.
    inner = scripts.repeat(2, {"replace": "again "}, scripts.token("more "))
    steps = [
        scripts.thinking("so "),
        scripts.token("a "),
        {"replace": "b "},
        scripts.token("c "),
        scripts.wait(5),
        scripts.observe("c1", "part ", partial=True),
        scripts.delta("c2", "{}"),
        inner,
        scripts.observe("c1", "next ", partial=True),
    ]
    begin, end = scripts.call("c1"), [scripts.call("c2"), scripts.observe("c1"), scripts.observe("c2")]
    run = await start_run(target, transport, scripts.script(begin, scripts.repeat(ROUNDS, *steps), *end))

    events = (await run.whole())[:-1]

    again = [said(step) for step in inner["steps"]] * 2
    of_a_round = [said(step) for step in steps if step is not inner and "wait_ms" not in step]
    of_a_round[-1:-1] = again
    wanted = [said(begin), *of_a_round * ROUNDS, *map(said, end)]
    expect_same_log([without_run(event) for event in contents(events)], wanted, ())


def said(step: scripts.Step) -> dict[str, Any]:
    """Return the event that a step says."""
    kind, value = next(iter(step.items()))
    texts = {"token": "data", "replace": "data", "thinking": "content"}
    return {"type": kind, texts[kind]: value} if kind in texts else {"type": kind, **value}
