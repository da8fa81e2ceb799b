"""Executor of plans: plays one against a server and checks the conversation against the model."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from runwire_conformance.case import Broken, DeadlineMissed, Violation
from runwire_conformance.client.conversations.client import Client
from runwire_conformance.client.conversations.conversation import ANSWER_S, Conversation
from runwire_conformance.client.conversations.stream import Stream
from runwire_conformance.client.scripts import script
from runwire_conformance.client.target import Target, new_run_id
from runwire_conformance.client.wire.http import Unanswered
from runwire_conformance.fuzz.model import (
    ANSWER,
    RunHistory,
    duration_ms,
    expected_log,
    judged,
    place_of_request,
)
from runwire_conformance.fuzz.plan import (
    SAYINGS,
    Action,
    Answer,
    Cancel,
    Drop,
    Plan,
    Read,
    Resume,
    Say,
    Slow,
    Start,
)
from runwire_conformance.rules import RuleContext
from runwire_conformance.trace.clock import now
from runwire_conformance.trace.message import Message

#: What a slow reader takes at once, in bytes, and its rest after each, in seconds.
SLOW_BYTES, SLOW_BYTES_A_SECOND = 512, 256_000

#: The line on which every log is read once more in the end.
READER = "reader"


async def play(target: Target, plan: Plan, answer_s: float = ANSWER_S) -> None:
    """Play a plan; raises Violation when the server breaks a sentence, with the conversations in `target.traces`.

    `answer_s` is how long to wait, in seconds, for what must come at once.
    """
    player = _Player(target, answer_s)
    try:
        for action in plan.actions:
            await player.do(action)
        await player.end()
    except _Outlived:
        return
    player.judge()


class _Outlived(Exception):
    """The conversation took so long that the server left an idle line: it shows nothing."""


@dataclass(slots=True)
class _Connection:
    """A connection or stream, and the runs that were opened on it."""

    conversation: Client | Stream
    runs: set[int] = field(default_factory=set)


class _Player:
    def __init__(self, target: Target, answer_s: float) -> None:
        self._target = target
        self._answer_s = answer_s
        self._lines: dict[str, _Connection] = {}
        self._histories: list[RunHistory] = []
        self._alone_since: dict[int, float] = {}
        self._began = now()
        #: The sentence that the action under way relies on.
        self._sentence = ""

    async def do(self, action: Action) -> None:
        """Do one action; what the server owes for it and does not give breaks `_sentence`."""
        doing: dict[type[Any], Callable[[Any], Coroutine[Any, Any, None]]] = {
            Start: self._start, Read: self._read, Cancel: self._cancel, Resume: self._resume,
            Drop: self._drop, Slow: self._slow, Say: self._say, Answer: self._answer,
        }  # fmt: skip
        await self._kept(doing[type(action)](action))

    async def _kept(self, doing: Coroutine[Any, Any, None]) -> None:
        try:
            await doing
        except Violation:
            raise
        except (Broken, Unanswered) as problem:
            # What a rule finds is the cause of what an action misses.
            self.judge(incomplete=True)
            if self._outlived():
                raise _Outlived from None
            owner = problem.owners[0] if isinstance(problem, Broken) and problem.certain else self._sentence
            raise Violation(owner, str(problem), late=isinstance(problem, DeadlineMissed)) from None

    # What a client does.

    async def _start(self, action: Start) -> None:
        run_id = new_run_id()
        number = len(self._histories)
        history = RunHistory(action.script, run_id, action.on_disconnect)
        prompt = script(*action.script)
        members = {"run_id": run_id, "on_disconnect": action.on_disconnect}
        self._sentence = "HTTP-2" if action.line.startswith("s") else "RUN-3"
        if action.line.startswith("s"):
            await self._drop(Drop(action.line))
            stream = await self._target.start_stream(prompt, **members)
            self._histories.append(history)
            self._sentence = "SSE-3"
            await stream.run()
            self._lines[action.line] = _Connection(stream, {number})
        else:
            line = await self._client(action.line)
            self._histories.append(history)
            line.runs.add(number)
            await _client(line).start(prompt, **members)

    async def _client(self, name: str) -> _Connection:
        """Return the WebSocket line of this name, opened if it is not."""
        if name not in self._lines:
            sentence, self._sentence = self._sentence, "CONN-15"
            self._lines[name] = _Connection(await self._target.connect(small_buffer=True))
            self._sentence = sentence
        return self._lines[name]

    async def _read(self, action: Read) -> None:
        self._sentence = "RUN-2"
        if (line := self._lines.get(action.line)) is not None and action.run in line.runs:
            await self._shown(line, action.run, action.events)

    async def _shown(self, line: _Connection, run: int, events: int) -> None:
        history = self._histories[run]
        seconds = self._answer_s + duration_ms(history.script) / 1000
        await line.conversation.wait_until(
            lambda: self._seq(line.conversation, run) >= events or self._ended(line.conversation, run),
            seconds,
            f"{events} events of the run, or its terminal",
        )

    async def _cancel(self, action: Cancel) -> None:
        if action.line == "http":
            assert action.run is not None
            self._sentence = "HTTP-6"
            history = self._histories[action.run]
            handed = now()
            history.cancelled_at = history.cancelled_at or handed
            response = await self._target.post(self._target.run_url(history.run_id, "/cancel"), {})
            if response.status != 200:
                raise Broken(f"expected 200 to a cancel; got {response.status}")
            return
        line = await self._client(action.line)
        meant = line.runs if action.run is None else {action.run}
        for run in meant:
            self._histories[run].cancelled_at = self._histories[run].cancelled_at or now()
        members = {} if action.run is None else {"run_id": self._histories[action.run].run_id}
        await _client(line).send({"type": "cancel", **members})

    async def _resume(self, action: Resume) -> None:
        history = self._histories[action.run]
        if action.line.startswith("s"):
            await self._resume_stream(action, history)
            return
        line = await self._client(action.line)
        self._sentence = "RESUME-9"
        seen, total = self._seen(action.run), len(expected_log(history.script))
        answer = await _client(line).ask({"type": "resume", "run_id": history.run_id, "after": action.after})
        if answer.type == "resumed":
            if action.after > total:
                raise Violation("RESUME-13", f"after {action.after} of a log of at most {total} was resumed")
            if answer.get("next_seq") != action.after + 1:
                raise Broken(f"expected next_seq {action.after + 1}; got {answer.get('next_seq')}")
            self._attached(line, action.run)
        elif answer.get("code") != "bad_request" or action.after <= seen:
            raise Broken(f"expected resumed after {action.after} of {seen} events seen; got {dict(answer)}")

    async def _resume_stream(self, action: Resume, history: RunHistory) -> None:
        await self._drop(Drop(action.line))
        seen, total = self._seen(action.run), len(expected_log(history.script))
        at_end = any(event["seq"] == action.after and event.is_terminal for event in self._events(action.run))
        url = self._target.run_url(history.run_id, f"/events?after={action.after}")
        if at_end or action.after > seen:
            self._sentence = "SSE-17" if at_end else "SSE-16"
            response = await self._target.http("GET", url, [("Accept", "text/event-stream")])
            wanted = {204} if at_end else {400} if action.after > total else {200, 204, 400}
            if response.status not in wanted:
                raise Broken(f"expected {wanted} to a cursor of {action.after}; got {response.status}")
            if response.status == 200:
                self._touched(action.run)
            return
        self._sentence = "SSE-14"
        stream = await self._target.stream("GET", url)
        self._sentence = "SSE-4"
        await stream.run()
        self._lines[action.line] = _Connection(stream)
        self._attached(self._lines[action.line], action.run)

    async def _drop(self, action: Drop) -> None:
        line = self._lines.pop(action.line, None)
        if line is None:
            return
        for run in line.runs:
            if not self._ended(line.conversation, run):
                self._histories[run].left.add(id(line.conversation.trace))
                if not any(run in other.runs for other in self._lines.values()):
                    self._alone_since.setdefault(run, now())
                    self._histories[run].was_unread = True
        line.conversation.drop()

    async def _slow(self, action: Slow) -> None:
        if (line := self._lines.get(action.line)) is not None:
            _client(line).read_slowly(SLOW_BYTES, SLOW_BYTES_A_SECOND)

    async def _say(self, action: Say) -> None:
        message, sentence, (kind, code) = SAYINGS[action.what]
        line = await self._client(action.line)
        self._sentence = sentence
        answer = await _client(line).ask(dict(message))
        if (answer.type, answer.get("code")) != (kind, code):
            raise Broken(f"expected {kind} {code or ''} to {action.what}; got {dict(answer)}")

    async def _answer(self, action: Answer) -> None:
        history = self._histories[action.run]
        line = self._lines.get(action.line)
        if line is None or action.run not in line.runs:
            return
        self._sentence = "RUN-2"
        place = place_of_request(history.script)
        await self._shown(line, action.run, place)
        if self._ended(line.conversation, action.run):
            return
        request_id = expected_log(history.script)[place - 1]["request_id"]
        body = {"request_id": request_id, "data": ANSWER}
        self._sentence = "INPUT-4"
        if action.by == "http":
            await self._target.post(self._target.run_url(history.run_id, "/input"), body)
        else:
            await _client(line).send({"type": "input", "run_id": history.run_id, **body})

    # What the player knows.

    def _attached(self, line: _Connection, run: int) -> None:
        line.runs.add(run)
        self._touched(run)

    def _touched(self, run: int) -> None:
        if (since := self._alone_since.pop(run, None)) is not None:
            history = self._histories[run]
            history.unread_s = max(history.unread_s, now() - since)

    def _of(self, messages: list[Message], run: int) -> list[Message]:
        run_id = self._histories[run].run_id
        return [m for m in messages if m.get("run_id") == run_id and isinstance(m.get("seq"), int)]

    def _events(self, run: int) -> list[Message]:
        traces = self._target.traces
        return [event for trace in traces for event in self._of(list(trace.messages("server")), run)]

    def _seen(self, run: int) -> int:
        return max((event["seq"] for event in self._events(run)), default=0)

    def _seq(self, conversation: Conversation, run: int) -> int:
        """Return how far a conversation has read a run, what it did not ask for included."""
        opening = _opening(conversation, self._histories[run].run_id)
        after = opening.get("next_seq", 1) - 1 if opening is not None else 0
        return max((event["seq"] for event in self._of(conversation.messages, run)), default=after)

    def _ended(self, conversation: Conversation, run: int) -> bool:
        """Whether the last reading of a run on a conversation has come to its end."""
        opening = _opening(conversation, self._histories[run].run_id)
        if opening is None:
            return False
        after = opening.get("next_seq", 1) - 1
        behind = conversation.messages[opening.index :]
        return any(event.is_terminal for event in self._of(behind, run)) or any(
            event.is_terminal and event["seq"] <= after for event in self._events(run)
        )

    def _outlived(self) -> bool:
        """Whether the server left a line that was idle for `idle_s` or longer, or as old as it states, as it may."""
        limits = self._target.limits
        codes = {one.close_code for one in self._clients()}
        idled = now() - self._began >= limits["idle_s"] and 1000 in codes
        return idled or any(
            line.conversation.trace.closed_for_age(limits.stream_s) for line in self._lines.values()
        )

    def _clients(self) -> list[Client]:
        lines = [line.conversation for line in self._lines.values()]
        return [conversation for conversation in lines if isinstance(conversation, Client)]

    # The end.

    async def end(self) -> None:
        """Wait for every run's end, let late words come, and read every log once more from its beginning."""
        await self._kept(self._ends())
        if "resume" in self._target.features:
            for run in range(len(self._histories)):
                await self._kept(self._again(run))

    async def _ends(self) -> None:
        for line in self._lines.values():
            for run in line.runs:
                await self._end_of(line, run)
        cancelled = [history.script for history in self._histories if history.cancelled_at is not None]
        if rest := max((duration_ms(script, "block_ms") for script in cancelled), default=0.0):
            await asyncio.sleep(rest / 1000)  # what a fenced tool says later is what is looked for
        self._sentence = "BEAT-5"
        for client in self._clients():
            await client.barrier()

    async def _end_of(self, line: _Connection, run: int) -> None:
        history, conversation = self._histories[run], line.conversation
        # Whether the run has an end, a stream that does not tell it leaves open.
        end = "SSE-5" if isinstance(conversation, Stream) else "RUN-4"
        self._sentence = end if history.cancelled_at is None else "CANCEL-2"
        seconds = self._answer_s + duration_ms(history.script) / 1000
        await conversation.wait_until(lambda: self._ended(conversation, run), seconds, "the run's terminal")
        if history.cancelled_at is None or conversation.trace.not_reading:
            return
        opening = _opening(conversation, history.run_id)
        ends = [event.at for event in self._of(conversation.messages, run) if event.is_terminal]
        took = max(ends, default=0.0) - max(history.cancelled_at, opening.at if opening is not None else 0.0)
        bound = self._target.limits.seconds("cancel_deadline_ms")
        if took > bound + self._target.clock.tolerance:
            raise DeadlineMissed(
                f"expected the terminal within {bound:.2f} s of the cancel; it arrived after {took:.2f} s"
            )

    async def _again(self, run: int) -> None:
        for name in [name for name, line in self._lines.items() if isinstance(line.conversation, Stream)]:
            await self._drop(Drop(name))
        for name in [READER, *(["s0"] if "sse" in self._target.features else [])]:
            await self._resume(Resume(name, run, 0))
            await self._end_of(self._lines[name], run)

    def judge(self, incomplete: bool = False) -> None:
        """Have the model judge what was said; raises Violation."""
        target = self._target
        if incomplete:
            for line in self._lines.values():
                for run in line.runs:
                    self._histories[run].left.add(id(line.conversation.trace))
        for history in self._histories:
            history.may_have_timed_out = now() - self._began >= target.limits["run_s"]
        context = RuleContext(target.limits, target.clock.tolerance)
        if verdict := judged(self._histories, target.traces, context):
            raise Violation(verdict.requirement, verdict.text, late=verdict.late)


def _opening(conversation: Conversation, run_id: str) -> Message | None:
    """Return what opened the last reading of a run on a conversation."""
    opened = (m for m in reversed(conversation.messages) if m.type in {"started", "resumed"})
    return next((message for message in opened if message.get("run_id") == run_id), None)


def _client(line: _Connection) -> Client:
    assert isinstance(line.conversation, Client)
    return line.conversation
