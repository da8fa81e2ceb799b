"""Chapters 5 and 16: scripts with impossible steps."""

import json
from typing import Any

from runwire_conformance.case import NotOffered, accuses, proves
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.expectations import expect_ended
from runwire_conformance.client.situations.questions import FORM
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.trace.limits import Limits
from runwire_conformance.trace.message import Message


def failure(terminal: Message) -> tuple[str, Any]:
    """Return type and code of a terminal."""
    return terminal.type, terminal.get("code")


@proves("SCRIPT-4", script=True, busy=True)
async def a_code_that_ends_no_run_is_malformed(client: Client) -> None:
    for code in ("bad_request", "unauthorized", "not_found", "busy", "unavailable", "no_such_code"):
        run = await client.start(scripts.script(scripts.fail(code)))
        terminal = await run.terminal()
        assert failure(terminal) == ("error", "agent_error"), (
            f"fail with {code}: got {json.dumps(terminal)[:200]}"
        )


@proves("RUN-14", "SCRIPT-3", script=True)
async def every_code_that_ends_runs_can_be_made_to(client: Client) -> None:
    for code in (
        "timeout",
        "content_filtered",
        "upstream_error",
        "internal",
        "payload_too_large",
        "vendor:broke",
    ):
        run = await client.start(scripts.script(scripts.token("x"), scripts.fail(code)))
        terminal = await run.terminal()
        with accuses("RUN-14"):
            expect_ended(terminal, type="error")
        with accuses("SCRIPT-3"):
            expect_ended(terminal, code=code)


@proves("SCRIPT-13", script=True)
async def a_report_of_nobody_ends_the_run(client: Client) -> None:
    for named in (new_run_id(), "nobody", ""):
        run = await client.start(scripts.script(scripts.report(named)))
        assert failure(await run.terminal()) == ("error", "agent_error")


@proves("SCRIPT-13", script=True)
async def a_report_of_itself_ends_the_run(client: Client) -> None:
    own = new_run_id()

    run = await client.start(scripts.script(scripts.report(own)), run_id=own)

    assert failure(await run.terminal()) == ("error", "agent_error")


@proves("SCRIPT-14", script=True)
async def an_echo_of_what_was_not_asked_ends_the_run(client: Client) -> None:
    run = await client.start(scripts.script(scripts.token("x"), scripts.echo("never-asked")))

    assert failure(await run.terminal()) == ("error", "agent_error")


@proves("EVENT-27", script=True)
async def a_question_that_is_too_large_ends_the_run(client: Client, limits: Limits, target: Target) -> None:
    if "input" not in target.features:
        raise NotOffered("the server does not offer input")
    long = "x" * limits.whole("max_event_bytes")
    for question in (
        scripts.asking("q1", "approval", data=long),
        {"input_request": {"request_id": "q1", "kind": "form", "schema": {**FORM, "description": long}}},
    ):
        if "schema" in question["input_request"] and "forms" not in target.features:
            continue
        run = await client.start(scripts.script(scripts.token("x"), question))
        terminal = await run.terminal()
        assert failure(terminal) == ("error", "payload_too_large"), f"got {json.dumps(terminal)[:200]}"
        assert "input_request" not in {event.type for event in run.events}


@proves("SCRIPT-3", script=True)
async def a_failure_says_whether_to_try_again(client: Client) -> None:
    for code, said, expected in (
        ("agent_error", None, False),
        ("agent_error", True, True),
        ("upstream_error", None, True),
        ("upstream_error", False, False),
        ("vendor:broke", None, False),
        ("vendor:broke", True, True),
        ("payload_too_large", True, False),
        ("worker_lost", False, True),
    ):
        more: dict[str, Any] = {} if said is None else {"retryable": said}
        run = await client.start(scripts.script(scripts.fail(code, **more)))
        terminal = await run.terminal()
        shown = f"fail with {code} and {more or 'no retryable'}: got {json.dumps(terminal)[:200]}"
        assert (terminal.get("code"), terminal.get("retryable")) == (code, expected), shown


@proves("SCRIPT-4", script=True)
async def a_call_that_breaks_the_order_is_malformed(client: Client) -> None:
    call, seen = scripts.call("c1"), scripts.observe("c1")
    part = scripts.observe("c1", "half", partial=True)
    for steps in ([call, call], [seen], [part], [call, seen, call], [call, seen, seen], [call, seen, part]):
        run = await client.start(scripts.script(*steps))
        terminal = await run.terminal()
        named = [next(iter(step)) for step in steps]
        assert failure(terminal) == ("error", "agent_error"), f"{named}: got {json.dumps(terminal)[:200]}"


@proves("SCRIPT-4", script=True)
async def a_time_or_a_number_out_of_range_is_malformed(client: Client) -> None:
    one = [scripts.token("x")]
    for step in (
        {"wait_ms": -1},
        {"block_ms": -0.5},
        {"repeat": 0, "steps": one},
        {"repeat": 1.5, "steps": one},
        {"repeat": "2", "steps": one},
    ):
        run = await client.start(scripts.script(step))
        terminal = await run.terminal()
        assert failure(terminal) == ("error", "agent_error"), f"{step}: got {json.dumps(terminal)[:200]}"


@proves("SCRIPT-1", script=True)
async def a_whole_number_may_be_written_with_a_fraction(client: Client) -> None:
    run = await client.start('{"runwire_script":[{"repeat":2.0,"steps":[{"token":"x"}]},{"wait_ms":1e1}]}')

    terminal = await run.terminal()

    assert (terminal.get("status"), run.text) == ("completed", "xx"), f"got {json.dumps(terminal)[:200]}"
