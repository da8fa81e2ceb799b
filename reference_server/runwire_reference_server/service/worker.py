"""Worker: runs an agent, writes its events to the log, and ends the run exactly once and in time."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Any, cast

from runwire_reference_server.agents import Agent, AgentError, Task, done, error
from runwire_reference_server.run_log.event_sizes import Malformed, TooLarge
from runwire_reference_server.run_log.events import TERMINALS, Event
from runwire_reference_server.run_log.registry import ERRORS, may_end_a_run
from runwire_reference_server.run_log.runs import RunKey
from runwire_reference_server.run_log.store import Snapshot, Store, StoreGone, follow
from runwire_reference_server.service.input_requests import InputRequests
from runwire_reference_server.service.settings import Settings
from runwire_reference_server.service.writer import Writer

log = logging.getLogger(__name__)

#: What an agent may yield beside questions and its end; a type with a colon is a vendor's and may come, too.
APPENDED = frozenset({"token", "replace", "thinking", "tool_delta", "tool_call", "observation"})

#: An agent that waits for nothing still lets others have their turn every so many events.
YIELD_EVERY = 64


class Deadline:
    """How long a run may be running; time as queued or waiting does not count ([RUN-15])."""

    def __init__(self, seconds: float, expire: Callable[[], None]) -> None:
        self._left = seconds
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None

    def go_on(self) -> None:
        """Let the time run."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._left, self._expire)

    def pause(self) -> None:
        """Stop the time."""
        if self._timer is not None:
            self._left = max(0.0, self._timer.when() - asyncio.get_running_loop().time())
            self._timer.cancel()
            self._timer = None


class Worker:
    """Runs one agent for one run; holds the lease until the run has ended."""

    def __init__(self, store: Store, agent: Agent, settings: Settings, run: Snapshot, lease: str) -> None:
        self._store = store
        self._agent = agent
        self._settings = settings
        self._run = run
        self._lease = lease
        self._writer: Writer | None = None
        self._task = Task(
            run.key, run.request.prompt, run.request.inputs, run.session_id, trace_id=run.trace_id
        )
        self._input_requests: InputRequests | None = None
        if settings.serves("input"):
            most_s = settings.seconds("input_s")
            self._input_requests = InputRequests(store, run.key, most_s, self._on_waiting)
            self._task.input_requests = self._input_requests
        self._job: asyncio.Task[None] | None = None
        self._deadline = Deadline(settings.seconds("run_s"), self._expire)
        self._expiry: asyncio.Task[None] | None = None

    def start(self, predecessor: RunKey | None, stopped: Callable[[], None]) -> None:
        """Begin, after `predecessor` has ended ([RUN-16]); `stopped` is called when the agent is gone."""
        release = self._store.hold(self._run.key, self.stop)
        self._job = asyncio.get_running_loop().create_task(self._work(predecessor))
        self._job.add_done_callback(lambda _: release())
        self._job.add_done_callback(lambda _: stopped())

    async def end(self, terminal: Event) -> bool:
        """Fence the run, which stops its agent; False when another terminal came first ([CANCEL-4], [RUN-31])."""
        return await self._store.finish(self._run.key, terminal)

    def stop(self) -> None:
        """Tell the agent to stop; what it still yields is refused by the log."""
        loop = asyncio.get_running_loop()
        if self._task.cancelled_at is None:
            self._task.cancelled_at = loop.time()
        if self._job is not None:
            self._job.cancel()

    async def _work(self, predecessor: RunKey | None) -> None:
        try:
            if predecessor is not None:
                await self._after(predecessor)
                if not await self._store.begin(self._run.key, self._lease):
                    return
            self._deadline.go_on()
            run = self._run
            self._task.history = await self._store.history(run.key.principal, run.session_id)
            self._writer = Writer(self._store.appender(run.key, self._lease), self._settings)
            await self._play(self._writer)
        except (asyncio.CancelledError, StoreGone):
            pass  # whoever lost touch with the store cannot end a run: the other nodes do ([NODE-4])
        except Exception:
            # [RUN-13] a fault of ours ends the run too; [OBS-9] the exception may quote the prompt.
            log.error("a run failed inside the server", extra={"trace_id": self._run.trace_id})
            with suppress(StoreGone):
                await self.end(error("internal", "the server failed", True))
        finally:
            self._deadline.pause()
            if self._writer is not None:
                self._writer.appender.close()
            if self._input_requests is not None:
                self._input_requests.stop()

    async def _play(self, writer: Writer) -> None:
        terminal = done("generation completed")
        append, appender = writer.append, writer.appender
        calls: dict[object, bool] = {}  # whether each is open
        count = 0
        try:
            async with aclosing(cast(Any, self._agent.run(self._task))) as events:
                async for event in events:
                    kind = event["type"]
                    if kind in APPENDED or ":" in kind:
                        if kind in {"tool_call", "observation"}:
                            pair(calls, event)
                        if not append(event):
                            await appender.settled()  # the end of a full log may be on its way
                            return
                    elif kind in TERMINALS:
                        terminal = event
                        if kind == "error" and {"code", "retryable"} <= event.keys():
                            terminal = event | _as_registered(event["code"], event["retryable"])
                        break
                    elif kind != "input_request":
                        raise AgentError("agent_error", "the agent made an event of an unknown type")
                    elif not await self._ask(writer, event):
                        return
                    if appender.crowded:
                        await appender.room()
                    count += 1
                    if count % YIELD_EVERY == 0:
                        await asyncio.sleep(0)
            if any(calls.values()) and terminal.get("status") == "completed":  # [EVENT-13]
                raise AgentError("agent_error", "the agent came to its end while a call had no observation")
        except AgentError as failure:
            terminal = _as_registered(failure.code, failure.retryable)
            terminal = error(terminal["code"], failure.data, terminal["retryable"], failure.usage)
        except StoreGone:
            raise
        except asyncio.CancelledError:
            if self._task.cancelled_at is not None:
                raise
            # [RUN-13] nobody cancelled the run: something inside the agent was, and that is a crash like others.
            terminal = error("agent_error", "the agent failed", False)
        except TooLarge:
            terminal = error("payload_too_large", "the agent made an event that is too large", False)
        except Malformed as reason:
            terminal = error("agent_error", f"the agent made an event that is not valid: {reason}", False)
        except BaseException as failure:  # an agent's SystemExit or GeneratorExit is a crash like others
            log.warning(
                "an agent crashed: %s", type(failure).__name__, extra={"trace_id": self._run.trace_id}
            )
            terminal = error("agent_error", "the agent failed", False)
        try:
            await writer.end(terminal)
        except (TooLarge, Malformed):
            await writer.end(error("agent_error", "the agent made an end that is not valid", False))

    async def _ask(self, writer: Writer, event: Event) -> bool:
        """Append an input request; False when the run is over."""
        if self._input_requests is None:
            raise AgentError("agent_error", "this server does not serve input")
        if event["kind"] == "form" and not self._settings.serves("forms"):
            raise AgentError("agent_error", "this server does not serve forms")  # [INPUT-22]
        event, seconds = await self._input_requests.prepared(event)
        if not writer.append(event) or not await writer.appender.settled():
            return False
        self._input_requests.opened(event, seconds)
        return True

    async def _after(self, predecessor: RunKey) -> None:
        """Wait until `predecessor` is finished or gone."""

        async def finished() -> bool:
            return (await self._store.get(predecessor)).status.finished

        await follow(self._store, predecessor, asyncio.Event(), finished)

    def _on_waiting(self, waiting: bool) -> None:
        if waiting:
            self._deadline.pause()
        else:
            self._deadline.go_on()

    def _expire(self) -> None:
        # [RUN-15], [CANCEL-12] a deadline is a timeout, never a cancel.
        loop = asyncio.get_running_loop()
        self._expiry = loop.create_task(self._time_out())

    async def _time_out(self) -> None:
        with suppress(StoreGone):
            await self.end(error("timeout", "the run took too long", True))


def _as_registered(code: Any, retryable: bool | None) -> Event:
    """Return code and `retryable` of a run's end for what an agent says they are ([RUN-14], [ERR-4])."""
    if not isinstance(code, str) or not may_end_a_run(code):
        code = "agent_error"
    known = ERRORS.get(code)
    if retryable is None or (known is not None and not known.overridable):
        retryable = known is not None and known.retryable
    return {"code": code, "retryable": retryable}


def pair(calls: dict[object, bool], event: Event) -> None:
    """Note a call or what came of it; raises AgentError for a call made twice or observed when it is not open.

    ([EVENT-8], [EVENT-10] to [EVENT-13].)
    """
    name = event["call_id"]
    if event["type"] == "tool_call":
        if name in calls:
            raise AgentError("agent_error", "the agent made a call twice")
        calls[name] = True
    elif not calls.get(name):
        raise AgentError("agent_error", "the agent observed a call that is not open")
    else:
        calls[name] = bool(event.get("partial"))
