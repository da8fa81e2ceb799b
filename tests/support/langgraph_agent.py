"""A LangGraph agent with a tool that asks for approval, behind the framework's own AG-UI endpoint.

It runs in an environment of its own and tells its URL on standard output. `GET /seen` says how often the model and the
tool were at work, and how many words the model has said in all.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from ag_ui_langgraph import LangGraphAgent, add_langgraph_fastapi_endpoint
from fastapi import FastAPI
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt

SEEN: dict[str, Any] = {"answers": 0, "transfers": 0, "words": 0, "prompts": []}

#: How many words an answer has, and seconds between two of them.
WORDS, PACE_S = 114, 0.03

APPROVAL = {"type": "object", "properties": {"approved": {"type": "boolean"}}, "required": ["approved"]}


@tool
def transfer(amount: int) -> str:
    """Transfer money, once a person has approved."""
    answer = interrupt({"reason": "tool_call", "message": f"Transfer ${amount}?", "responseSchema": APPROVAL})
    if not (answer is True or (isinstance(answer, dict) and answer.get("approved"))):
        return "the transfer was declined"
    SEEN["transfers"] += 1
    return f"transferred ${amount}"


class PacedModel(BaseChatModel):
    """A model that calls the tool when it is asked to transfer, and otherwise streams words."""

    @property
    def _llm_type(self) -> str:
        return "paced"

    def bind_tools(self, *_args: Any, **_options: Any) -> "PacedModel":
        return self

    def _generate(self, messages: list[BaseMessage], *_args: Any, **_options: Any) -> ChatResult:
        raise NotImplementedError

    async def _astream(
        self, messages: list[BaseMessage], *_args: Any, **_options: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        last = messages[-1]
        usage = {
            "input_tokens": 10,
            "output_tokens": 5,
            "total_tokens": 15,
            "input_token_details": {"cache_read": 4},
        }
        if isinstance(last, HumanMessage) and "transfer" in str(last.content):
            call = {"name": "transfer", "args": '{"amount": 50}', "id": f"call-{len(messages)}", "index": 0}
            yield chunk("", tool_call_chunks=[call], usage_metadata=usage)
            return
        SEEN["answers"] += 1
        SEEN["prompts"].append(
            [str(message.content) for message in messages if isinstance(message, HumanMessage)]
        )
        words = WORDS * 100 if "without end" in str(last.content) else WORDS
        for place in range(words):
            SEEN["words"] += 1
            yield chunk(f"w{place} ")
            await asyncio.sleep(PACE_S)
        yield chunk("", usage_metadata=usage)


def chunk(text: str, **members: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text, **members))


async def answer(state: MessagesState) -> dict[str, list[AIMessage]]:
    return {"messages": [await PacedModel().ainvoke(state["messages"])]}


def application(*, outcome: bool) -> FastAPI:
    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_node("tools", ToolNode([transfer]))
    graph.add_edge(START, "answer")
    graph.add_conditional_edges("answer", tools_condition)
    graph.add_edge("tools", "answer")
    compiled = graph.compile(checkpointer=InMemorySaver())
    app = FastAPI()
    agent = LangGraphAgent(name="paced", graph=compiled, emit_interrupt_outcome=outcome)
    add_langgraph_fastapi_endpoint(app, agent, "/agent")
    agent = LangGraphAgent(name="legacy", graph=compiled)
    add_langgraph_fastapi_endpoint(app, agent, "/legacy")
    app.get("/seen")(lambda: SEEN)
    return app


def main() -> None:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(64)
    print(f"http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    config = uvicorn.Config(application(outcome=True), log_level="error")
    asyncio.run(uvicorn.Server(config).serve(sockets=[bound]))


if __name__ == "__main__":
    main()
