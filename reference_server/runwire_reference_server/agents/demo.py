"""The agent a newcomer meets: it thinks, looks a word up, and answers piece by piece."""

import asyncio
import re
from collections.abc import AsyncIterator

from runwire_reference_server.agents import Task, input_request, observation, thinking, token, tool_call
from runwire_reference_server.events import Event

#: Seconds between two pieces of the answer.
PACE_S = 0.04

GLOSSARY = {
    "ai": "AI is software that does things one would call clever if a person did them, such as answering this.",
    "agent": "An agent is a program that works on a prompt in several steps: it thinks, calls tools and answers.",
    "cancel": 'Send {"type":"cancel"} and the run ends at once, even when a tool hangs.',
    "resume": 'Come back and send {"type":"resume","run_id":…,"after":…}: the log goes on where you left off.',
    "run": "A run is an append-only log of events; whoever watches it reads the log from a cursor.",
    "runwire": "Runwire is an open wire protocol for live agent runs, with a judge that tests servers against it.",
    "sse": "Server-sent events carry the same log as the WebSocket, for networks that let only plain HTTP through.",
    "token": "A token event carries text to append to the answer; an answer is nothing but its tokens.",
    "websocket": "A WebSocket carries messages both ways; here one JSON object each.",
}


class DemoAgent:
    """Answers from a glossary of a few lines, at a pace at which one can watch and press stop."""

    async def run(self, task: Task) -> AsyncIterator[Event]:
        """Play thinking, a tool call, its observation and the answer."""
        words = re.findall(r"[a-z]+", task.prompt.lower())
        for piece in ("I should look ", "the words up ", "before I answer."):
            yield thinking(piece)
            await asyncio.sleep(PACE_S)
        yield tool_call("c1", "search_glossary", {"words": words[:20]})
        await asyncio.sleep(4 * PACE_S)
        if "ask" in words and task.input_requests is not None:
            yield input_request("q1", "approval", "Shall I go on?", call_id="c1")
            if (await task.input_requests.answer("q1")).data is not True:
                yield observation("c1", "the user would rather not", is_error=True)
                yield token("As you wish.")
                return
        found = list(dict.fromkeys(word for word in words if word in GLOSSARY))
        yield observation("c1", {"found": found})
        if found:
            answer = " ".join(GLOSSARY[word] for word in found)
        else:
            answer = (
                f"The glossary of this demo has nothing on that. It knows: {', '.join(GLOSSARY)}. "
                "Start the server with an agent of your own for better answers."
            )
        answer += " This text came in pieces, one token event each; a page that knows six types can show it."
        for piece in re.findall(r"\S+\s*", answer):
            yield token(piece)
            await asyncio.sleep(PACE_S)
