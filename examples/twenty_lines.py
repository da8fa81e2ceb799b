"""A server of twenty lines: it sends its answer character by character and knows nothing else of Runwire."""

import asyncio

from fastapi import FastAPI, WebSocket

app = FastAPI()


@app.websocket("/ws/generate")
async def generate(websocket: WebSocket) -> None:
    """Answer one prompt and close."""
    await websocket.accept()
    prompt = (await websocket.receive_json())["prompt"]
    for character in f"You said: {prompt[:20]}":
        await websocket.send_json({"type": "token", "data": character})
        await asyncio.sleep(0.005)
    await websocket.send_json({"type": "done", "data": "generation completed"})
    await websocket.close()
