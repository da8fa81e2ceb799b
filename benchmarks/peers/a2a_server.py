"""A2A's SDK: a task whose artifact grows by each token."""

from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    Artifact,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from starlette.applications import Starlette

from benchmarks.work import TEXT, serve, tokens


class Executor(AgentExecutor):
    """Says as many tokens as it is asked for."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Enqueue an event for each token."""
        names = {"task_id": context.task_id, "context_id": context.context_id}
        working, completed = TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_COMPLETED
        await event_queue.enqueue_event(
            Task(id=context.task_id, context_id=context.context_id, status=TaskStatus(state=working))
        )
        async for number in tokens(context.get_user_input()):
            artifact = Artifact(artifact_id="a", parts=[Part(text=TEXT)])
            await event_queue.enqueue_event(
                TaskArtifactUpdateEvent(artifact=artifact, append=number > 0, **names)
            )
        await event_queue.enqueue_event(TaskStatusUpdateEvent(status=TaskStatus(state=completed), **names))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Do nothing."""


CARD = AgentCard(name="bench", version="1", capabilities=AgentCapabilities(streaming=True))

if __name__ == "__main__":
    handler = DefaultRequestHandler(Executor(), InMemoryTaskStore(), CARD)
    serve(Starlette(routes=create_jsonrpc_routes(handler, "/")))
