"""`POST /ag-ui`: HTTP endpoint for stock AG-UI clients."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ag_ui.core import RunAgentInput
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from runwire_reference_server.access.admission import caller_of
from runwire_reference_server.integrations.ag_ui_endpoint.events import Translation
from runwire_reference_server.integrations.ag_ui_endpoint.interrupts import InterruptId, answer_of, asked_by
from runwire_reference_server.integrations.ag_ui_endpoint.stream import AgUiStream, read_cursor
from runwire_reference_server.run_log.refusal import Refusal, RunNotFound
from runwire_reference_server.run_log.runs import Principal, RunKey, RunRequest
from runwire_reference_server.run_log.store import InputState
from runwire_reference_server.transports.http import NO_STORE, HttpEndpoints
from runwire_reference_server.transports.problems import problem
from runwire_reference_server.transports.wire.http_headers import accepts_event_stream, trace_id

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{21,64}")

#: Members of the input that an agent is given as the run's `inputs`.
_INPUTS = ("state", "context", "forwardedProps")


@dataclass(frozen=True, slots=True)
class AgUiRequest:
    """What a client of AG-UI asks for; without a `prompt` it joins a run that is there."""

    thread_id: str
    run_id: str
    prompt: str | None
    inputs: Mapping[str, Any]
    resume: tuple[Mapping[str, Any], ...]


def read_input(message: Mapping[str, Any]) -> AgUiRequest:
    """Return what the body of a request asks for; raises Refusal."""
    try:
        RunAgentInput.model_validate(message)
    except ValidationError as refused:
        fault = refused.errors(include_url=False, include_input=False, include_context=False)[0]
        place = "/".join(str(step) for step in fault["loc"])
        raise Refusal("bad_request", f"/{place}: {fault['msg']}") from None
    for name in ("threadId", "runId"):
        if not _IDENTIFIER.fullmatch(str(message.get(name))):
            raise Refusal("bad_request", f"/{name}: must match {_IDENTIFIER.pattern}, as a UUID does")
    messages = message["messages"]
    resume = tuple(message.get("resume") or ())
    if messages and messages[-1].get("role") == "tool" and not resume:
        raise Refusal("bad_request", "results of a page's own tools are not taken; answer in a message")
    prompts = [_text(one.get("content")) for one in messages if one.get("role") == "user"]
    return AgUiRequest(
        message["threadId"],
        message["runId"],
        prompts[-1] if prompts else None,
        {name: message[name] for name in _INPUTS if message.get(name)},
        resume,
    )


def _text(content: Any) -> str:
    """Return the text of a message; what is no text, such as an image, is passed over."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")


class AgUiEndpoint(HttpEndpoints):
    """The handler of one server; what it knows of a run stands in the request and in the log."""

    async def run(self, request: Request) -> ASGIApp:
        """Start, join or continue a run, and stream it.

        A `runId` that is known joins its run; `Last-Event-ID` returns to the block behind it. An input that resumes an
        interrupt answers the run that asked, and goes on where it did. A caller that leaves stops nothing.
        """
        if not accepts_event_stream(request.headers.get("accept")):
            return problem(Refusal("unsupported", "events come as text/event-stream"), 406)
        asked = read_input(await self._body(request))
        cursor = read_cursor(request.headers.getlist("last-event-id"))
        caller = caller_of(request.scope)
        async with self._place(request) as give_back:
            if asked.resume:
                key, start = await self._continue(caller.principal, asked)
                await self._service.ration(caller.slot, key, 0)
            else:
                key, start = await self._start(request, asked), 0
            run = await self._service.store.get(key)
            if cursor and run.status.finished and (run.epoch, run.seq) == (cursor.epoch, cursor.seq):
                await give_back()
                return Response(status_code=204, headers=NO_STORE)
            translation = Translation(asked.thread_id, asked.run_id)
            stream = AgUiStream(self._service, key, give_back, caller.remaining_s, translation)
            await stream.begin(start, cursor)
        here = posixpath.dirname(self._settings.ag_ui_path)
        where = posixpath.relpath(self._settings.runs_path, here)
        return stream.open_with([], {"Location": f"{where}/{key.run_id}/events"})

    async def _start(self, request: Request, asked: AgUiRequest) -> RunKey:
        """Start the run or find it; raises Refusal, such as for a known `runId` that was started otherwise."""
        caller = caller_of(request.scope)
        key = RunKey(caller.principal, asked.run_id)
        if asked.prompt is None:
            await self._service.store.get(key)
            existed = True
        else:
            wanted = RunRequest(
                asked.prompt,
                asked.run_id,
                asked.thread_id,
                asked.inputs,
                # Between a question and its answer nobody reads, for as long as the question is open.
                "continue",
                trace_id(request.headers.getlist("traceparent")),
            )
            accepted = await self._service.start(caller.principal, wanted)
            self._tell(request, accepted, "ag_ui")
            existed = accepted.existed
        if existed:
            await self._service.ration(caller.slot, key, 0)
        return key

    async def _continue(self, principal: Principal, asked: AgUiRequest) -> tuple[RunKey, int]:
        """Answer what is resumed, and return the run that asked and where it did; raises Refusal."""
        named = [(asked_by(str(entry["interruptId"])), entry) for entry in asked.resume]
        ours = [(where, entry) for where, entry in named if where is not None]
        if len({where.run_id for where, _ in ours}) != 1:
            raise Refusal("bad_request", "/resume: must name interrupts of one run of this server")
        key = RunKey(principal, ours[0][0].run_id)
        if (await self._service.store.get(key)).session_id != asked.thread_id:
            raise Refusal("bad_request", "/resume: the interrupt is of another thread")
        for where, entry in ours:
            await self._answer(key, where, entry)
        return key, max(where.seq for where, _ in ours)

    async def _answer(self, key: RunKey, where: InterruptId, entry: Mapping[str, Any]) -> None:
        """Hand on an answer. What is abandoned is a no to an approval, and ends a run that cannot go on without it."""
        state = await self._state(key, where.request_id)
        if entry["status"] == "resolved":
            answer = answer_of(state.request, entry.get("payload"))
            await self._service.input(key, where.request_id, answer)
        elif state.outcome is None and state.request["kind"] == "approval":
            await self._service.input(key, where.request_id, False)
        elif state.outcome is None:
            await self._service.cancel(key)

    async def _state(self, key: RunKey, request_id: str) -> InputState:
        try:
            state = await self._service.store.input_state(key, request_id)
        except RunNotFound:
            state = None
        if state is None:
            raise Refusal("not_found", "no such interrupt")
        return state
