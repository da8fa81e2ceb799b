"""Demo agent: thinks, looks up words in a glossary, and streams an answer in English or Chinese."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable

from runwire_reference_server.agents import Task, input_request, observation, thinking, token, tool_call
from runwire_reference_server.agents.demo_texts import CHINESE, ENGLISH, Texts
from runwire_reference_server.run_log.events import Event

#: Seconds between two pieces of the answer.
PACE_S = 0.04

#: What the words of the glossary mean, in English.
GLOSSARY = {names[0]: entry for names, entry in ENGLISH.glossary.items()}

#: A prompt with one of these characters is answered in Chinese.
HAN = re.compile("[\u3400-\u9fff]")


class DemoAgent:
    """Answers from a glossary of a few lines, at a pace at which one can watch and press stop."""

    async def run(self, task: Task) -> AsyncIterator[Event]:
        """Play thinking, a tool call, its observation and the answer; with a question or a sub-agent on request."""
        texts = CHINESE if HAN.search(task.prompt) else ENGLISH
        prompt = task.prompt.lower()
        for piece in texts.thoughts:
            yield thinking(piece)
            await asyncio.sleep(PACE_S)
        words = re.findall(r"[a-z]+|[\u3400-\u9fff]+", prompt)
        yield tool_call("c1", "search_glossary", {"words": words[:20]})
        await asyncio.sleep(4 * PACE_S)
        if asked_for(texts.ask, prompt) and task.input_requests is not None:
            yield input_request("q1", "approval", texts.question, call_id="c1")
            if (await task.input_requests.answer("q1")).data is not True:
                yield observation("c1", texts.declined, is_error=True)
                yield token(texts.as_you_wish)
                return
        found = [names for names in texts.glossary if asked_for(names, prompt)]
        yield observation(
            "c1", {"found": [name for names in found for name in names if asked_for([name], prompt)]}
        )
        if asked_for(texts.delegate, prompt):
            async for event in librarian(texts):
                yield event
        answer = texts.joint.join(texts.glossary[names] for names in found) or texts.nothing
        for piece in pieces(answer + texts.joint + texts.closing):
            yield token(piece)
            await asyncio.sleep(PACE_S)


async def librarian(texts: Texts) -> AsyncIterator[Event]:
    """Play a sub-agent: its thinking and the text it produces belong to the call that started it ([EVENT-1])."""
    yield tool_call("c2", "delegate", {"to": "librarian"})
    yield thinking(texts.librarian_thinks) | {"agent": "librarian", "parent_call_id": "c2"}
    for piece in pieces(texts.librarian_says):
        yield observation("c2", piece, partial=True) | {"agent": "librarian", "parent_call_id": "c2"}
        await asyncio.sleep(PACE_S)
    yield observation("c2", texts.librarian_says)


def asked_for(names: Iterable[str], prompt: str) -> bool:
    """Whether one of `names` stands in the prompt, a Latin one as a whole word."""
    words = set(re.findall(r"[a-z]+", prompt))
    return any(name in words or (not name.isascii() and name in prompt) for name in names)


def pieces(text: str) -> list[str]:
    """Cut a text as a model would give it: word by word, Chinese two characters at a time."""
    return re.findall(r"[\u3000-\u9fff\uff00-\uffef]{1,2}|[^\s\u3000-\u9fff\uff00-\uffef]+\s*|\s+", text)
