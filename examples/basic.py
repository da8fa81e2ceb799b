"""A server of class `basic` over FastAPI: the twenty lines, without what the judge finds in them."""

import asyncio
import json

from fastapi import FastAPI, WebSocket

app = FastAPI()


@app.websocket("/ws/generate")
async def generate(websocket: WebSocket) -> None:
    """Answer one prompt and close."""
    await websocket.accept()
    async for text in websocket.iter_text():
        try:
            message = json.loads(text)
        except ValueError:
            await websocket.close(1007)  # what is no JSON ends the connection, with a Close frame (CLOSE-2)
            return
        if not isinstance(message, dict) or not isinstance(message.get("prompt"), str):
            continue  # messages of a later version are ignored (MSG-23)
        for character in f"You said: {message['prompt'][:20]}":
            await websocket.send_json({"type": "token", "data": character})
            await asyncio.sleep(0.005)
        await websocket.send_json({"type": "done", "data": "generation completed"})
        await websocket.close()
        return
