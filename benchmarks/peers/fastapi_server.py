"""FastAPI: `send_json` on a WebSocket, and AG-UI's events by its own encoder on a StreamingResponse."""

from collections.abc import AsyncIterator

from ag_ui.core import EventType, RunFinishedEvent, RunStartedEvent, TextMessageContentEvent
from ag_ui.encoder import EventEncoder
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from benchmarks.work import TEXT, serve, tokens

app = FastAPI()


@app.websocket("/ws")
async def websocket(socket: WebSocket) -> None:
    """Send an event as most FastAPI servers do."""
    await socket.accept()
    try:
        while True:
            prompt = (await socket.receive_json())["prompt"]
            async for number in tokens(prompt):
                await socket.send_json(
                    {
                        "type": "token",
                        "data": TEXT,
                        "run_id": "r" * 22,
                        "seq": number,
                        "ts": "2026-01-01T00:00:00.000Z",
                    }
                )
            await socket.send_text('{"type":"done"}')
    except WebSocketDisconnect:
        return


@app.post("/agui")
async def agui(request: Request) -> StreamingResponse:
    """Stream an AG-UI run."""
    prompt = (await request.json())["prompt"]
    encoder = EventEncoder()

    async def events() -> AsyncIterator[str]:
        yield encoder.encode(RunStartedEvent(type=EventType.RUN_STARTED, thread_id="t" * 22, run_id="r" * 22))
        async for _ in tokens(prompt):
            yield encoder.encode(
                TextMessageContentEvent(type=EventType.TEXT_MESSAGE_CONTENT, message_id="m" * 22, delta=TEXT)
            )
        yield encoder.encode(
            RunFinishedEvent(type=EventType.RUN_FINISHED, thread_id="t" * 22, run_id="r" * 22)
        )

    return StreamingResponse(events(), media_type=encoder.get_content_type())


if __name__ == "__main__":
    serve(app)
