"""A plain agent of AG-UI, made of the protocol's own package and FastAPI: what it does stands in the prompt.

It tells its URL on standard output. `GET /runs` says how often it was started.
"""

import asyncio
import socket
from collections.abc import AsyncIterator

import uvicorn
from ag_ui.core import RunAgentInput
from ag_ui.core import events as ag_ui
from ag_ui.encoder import EventEncoder
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

APP = FastAPI()
RUNS = {"runs": 0}

SILENCE_S = 70.0


async def events(given: RunAgentInput) -> AsyncIterator[ag_ui.BaseEvent]:
    """Stream 60 words in three seconds, or what the prompt asks for."""
    ends = {"thread_id": given.thread_id, "run_id": given.run_id}
    prompt = next((str(one.content) for one in reversed(given.messages) if one.role == "user"), "")
    yield ag_ui.RunStartedEvent(**ends)
    if prompt == "ask" and not given.resume:
        asked = [{"id": "i1", "reason": "confirmation", "message": "Go?"}]
        yield ag_ui.RunFinishedEvent(**ends, outcome={"type": "interrupt", "interrupts": asked})
        return
    if prompt == "silent":
        yield ag_ui.ToolCallStartEvent(tool_call_id="t", tool_call_name="slow")
        yield ag_ui.ToolCallEndEvent(tool_call_id="t")
        await asyncio.sleep(SILENCE_S)
        yield ag_ui.ToolCallResultEvent(message_id="r", tool_call_id="t", content="done")
    yield ag_ui.TextMessageStartEvent(message_id="m")
    for place in range(6000 if prompt == "long" else 60):
        yield ag_ui.TextMessageContentEvent(message_id="m", delta=f"w{place} ")
        if prompt == "truncated" and place == 10:
            return
        await asyncio.sleep(0.05)
    yield ag_ui.TextMessageEndEvent(message_id="m")
    yield ag_ui.RunFinishedEvent(**ends)


@APP.post("/agent")
async def agent(given: RunAgentInput) -> StreamingResponse:
    RUNS["runs"] += 1
    encoded = (EventEncoder().encode(event) async for event in events(given))
    return StreamingResponse(encoded, media_type="text/event-stream")


@APP.get("/runs")
async def runs() -> dict[str, int]:
    return RUNS


def main() -> None:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(64)
    print(f"http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    config = uvicorn.Config(APP, log_level="error", timeout_graceful_shutdown=1)
    asyncio.run(uvicorn.Server(config).serve(sockets=[bound]))


if __name__ == "__main__":
    main()
