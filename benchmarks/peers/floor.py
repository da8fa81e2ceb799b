"""The floor: a plain ASGI application that encodes with msgspec, over WebSocket and as an event stream."""

from typing import Any

import msgspec

from benchmarks.work import TEXT, serve, tokens

encoded = msgspec.json.Encoder().encode


def event(number: int) -> bytes:
    """Return what an event of the run is here."""
    return encoded(
        {"type": "token", "data": TEXT, "run_id": "r" * 22, "seq": number, "ts": "2026-01-01T00:00:00.000Z"}
    )


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer a prompt, or many on one WebSocket."""
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "http":
        prompt = msgspec.json.decode((await receive())["body"])["prompt"]
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for number in tokens(prompt):
            block = b"data: %b\n\n" % event(number)
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b'data: {"type":"done"}\n\n'})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        async for number in tokens(msgspec.json.decode(message["text"])["prompt"]):
            await send({"type": "websocket.send", "text": event(number).decode()})
        await send({"type": "websocket.send", "text": '{"type":"done"}'})


if __name__ == "__main__":
    serve(app)
