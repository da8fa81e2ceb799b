"""A run with an input request, for the cases of chapter 10."""

import json
from typing import Any

from runwire_conformance.case import NotExercised, Wrong
from runwire_conformance.client import scripts
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.run import Run
from runwire_conformance.client.expectations import expect_problem, expect_status, expect_valid
from runwire_conformance.client.situations.any_transport import start_run
from runwire_conformance.client.target import Target

#: A form that wants a number, and says nothing of what else it holds.
FORM = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


async def run_that_asks(target: Target, transport: str, *steps: scripts.Step, **members: Any) -> Run:
    """Start a script and return its run when the first request is open."""
    run = await start_run(target, transport, scripts.script(*steps), **members)
    await run.event("input_request")
    return run


async def send_answer(target: Target, run: Run, request_id: str, data: Any) -> None:
    """Answer a request by the transport that the run is read on; raises Broken when the answer is refused at once."""
    if isinstance(run.conversation, Client):
        await run.conversation.send(
            {"type": "input", "run_id": run.id, "request_id": request_id, "data": data}
        )
        return
    response = await post(target, run.id, request_id, data)
    expect_status(response, 200)
    expect_valid("run-outcome", response.json())


async def post(target: Target, run_id: str, request_id: str, data: Any) -> Any:
    """Answer a request over HTTP and return the response."""
    return await target.post(target.run_url(run_id, "/input"), {"request_id": request_id, "data": data})


async def refusal_code_of(
    target: Target, run: Run, request_id: str, data: Any, run_id: str | None = None
) -> str:
    """Return the code that an answer is refused with; raises Broken when it is not."""
    named = run_id or run.id
    if isinstance(run.conversation, Client):
        answer = await run.conversation.ask(
            {"type": "input", "run_id": named, "request_id": request_id, "data": data}
        )
        if answer.type != "error" or "seq" in answer:
            raise Wrong(f"expected a refusal; got {answer.type}")
        return str(answer.get("code"))
    response = await post(target, named, request_id, data)
    statuses = {"bad_request": 400, "not_found": 404, "conflict": 409, "input_expired": 410}
    code = str(response.json().get("code"))
    expect_problem(response, statuses.get(code, 400), code)
    return code


async def expect_input_refused(
    target: Target, run: Run, request_id: str, data: Any, run_id: str | None = None, *, code: str
) -> None:
    """Expect that an answer is refused with `code`."""
    came = await refusal_code_of(target, run, request_id, data, run_id)
    if came != code:
        raise Wrong(f"expected {json.dumps(data)} to be refused with `{code}`; got `{came}`")


async def opened(run: Run, request_id: str) -> Any:
    """Return the `input_request` of this name; raises Broken."""
    return await run.conversation.message(
        lambda message: (
            run.belongs(message)
            and message.type == "input_request"
            and message.get("request_id") == request_id
        ),
        f"input_request of {request_id}",
        owners=("INPUT-13", "SCRIPT-1"),
    )


async def closing(run: Run, request_id: str, seconds: float = 5.0) -> Any:
    """Return the `input_closed` of a request; raises Broken."""
    return await run.conversation.message(
        lambda message: (
            run.belongs(message)
            and message.type == "input_closed"
            and message.get("request_id") == request_id
        ),
        f"input_closed of {request_id}",
        seconds=seconds,
        owners=("INPUT-4", "INPUT-8"),
    )


async def settled(run: Run) -> None:
    """Wait until what the server had to say about what was sent on the run's connection has come."""
    if isinstance(run.conversation, Client):
        await run.conversation.barrier()
        await run.conversation.barrier()


async def status(target: Target, run_id: str) -> str:
    """Return the status of a run as it stands; raises NotExercised when the server has no way to ask."""
    if "sse" in target.features:
        return str((await target.http("GET", target.run_url(run_id))).json()["status"])
    if "resume" in target.features:
        answer = await (await target.connect()).ask({"type": "resume", "run_id": run_id, "after": 0})
        return str(answer["status"])
    raise NotExercised("the server offers neither sse nor resume, so that no status can be asked for")
