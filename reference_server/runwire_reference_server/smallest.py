"""Minimal server of class `core`: one file, one dependency, with a script agent so that it can be judged."""

# --- What it says about itself ---

import asyncio
import json
import math
import re
import secrets
import signal
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

LIMITS: dict[str, float] = {
    "max_message_bytes": 1_048_576, "max_event_bytes": 262_144, "json_depth": 32, "connections_per_principal": 10,
    "runs_per_connection": 4, "runs_per_principal": 100, "idle_s": 3600, "run_s": 600, "input_s": 600,
    "heartbeat_s": 15, "pong_timeout_s": 20, "detach_grace_s": 30, "resume_window_s": 300, "cancel_quiet_ms": 500,
    "cancel_deadline_ms": 2000, "send_buffer_bytes": 1_048_576, "log_bytes": 16_777_216, "worker_lost_s": 30,
    "kept_bytes_per_principal": 268_435_456, "drain_s": 30,
}  # fmt: skip
FEATURES = ["robust"]
RETRYABLE = {"busy", "rate_limited", "internal", "unavailable", "timeout", "upstream_error", "worker_lost"}
OVERRIDABLE = {"internal", "timeout", "content_filtered", "agent_error", "upstream_error"}
TERMINAL = OVERRIDABLE | {"payload_too_large", "worker_lost"}


def discovery() -> str:
    """Return the discovery document."""
    about: dict[str, Any] = {
        "protocol": "runwire",
        "versions": [1],
        "endpoints": {"websocket": "../ws/generate"},
    }
    about |= {"features": FEATURES, "limits": LIMITS, "auth": ["none"], "script_agent": True}
    return encoded(about | {"server": {"name": "smallest", "version": "1.0"}})


def encoded(value: Any) -> str:
    """Return a value as JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


# --- Who gets in ---

LOOPBACK = r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?"
places: set[ServerConnection] = set()


def answer(connection: ServerConnection, request: Request) -> Response | None:
    """Answer a request by HTTP; or let it become a WebSocket, by returning nothing."""
    path, headers = request.path.partition("?")[0], request.headers
    offered = [name.strip() for line in headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",")]
    hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
    if len(hosts) != 1 or not re.fullmatch(LOOPBACK, hosts[0], re.IGNORECASE):
        return problem(403, "forbidden", "this server is not known by that name")
    if origins and (len(origins) > 1 or not re.fullmatch("https?://" + LOOPBACK, origins[0])):
        return problem(403, "forbidden", "pages of this origin are not admitted")
    if path == "/.well-known/runwire":
        return respond(200, "application/json", discovery())
    if path != "/ws/generate":
        return problem(404, "not_found", "nothing is served here")
    if "websocket" not in headers.get("Upgrade", "").lower():
        return problem(426, "unsupported", "this is a WebSocket", Upgrade="websocket")
    if offered and "runwire.v1" not in offered:
        return problem(400, "bad_request", "offer runwire.v1, or nothing")
    if len(places) >= LIMITS["connections_per_principal"]:
        return problem(429, "busy", "too many connections", Retry_After="1")
    places.add(connection)
    asyncio.create_task(connection.wait_closed()).add_done_callback(lambda _: places.discard(connection))
    return None


def respond(status: int, kind: str, body: str, **headers: str) -> Response:
    """Return a response over HTTP."""
    fields = {"Content-Type": kind, "Content-Length": str(len(body.encode())), "Connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, HTTPStatus(status).phrase, Headers(fields), body.encode())


def problem(status: int, code: str, text: str, **headers: str) -> Response:
    """Return a refusal over HTTP."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": text, "code": code}
    body["retryable"] = code in RETRYABLE
    return respond(status, "application/problem+json", encoded(body), **headers)


# --- What a client may say ---

CHOSEN = r"[A-Za-z0-9_-]{21,64}"
TRACE = r"(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?s:-.*)?"


def text(pattern: str) -> Any:
    """Return a test for strings of a pattern."""
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


MEMBERS = {
    "id": text("(?s).{1,64}"),
    "prompt": text("(?s).*"),
    "run_id": text(CHOSEN),
    "session_id": text(CHOSEN),
    "inputs": lambda value: isinstance(value, dict),
    "on_disconnect": text("grace|cancel|continue"),
    "traceparent": text(TRACE),
    "after": lambda value: type(value) is int and 0 <= value < 2**53,
    "epoch": text("[A-Za-z0-9_-]{1,64}"),
    "request_id": text("(?s).{1,256}"),
    "data": lambda _: True,
}
#: The members that each type must have, and those that it can have.
TYPES = {
    "start": (["prompt"], ["id", "run_id", "session_id", "inputs", "on_disconnect", "traceparent"]),
    "cancel": ([], ["id", "run_id"]),
    "heartbeat": ([], ["id"]),
    "resume": (["run_id", "after"], ["id", "epoch"]),
    "input": (["run_id", "request_id", "data"], ["id"]),
}


class NoMessage(Exception):
    """No JSON object, so nothing sensible can follow."""


class Refusal(Exception):
    """A message that has no effect: the code and the text that say why."""


def parsed(line: str) -> tuple[Any, bool]:
    """Return the value of a JSON text, and whether a member name is repeated; raise `NoMessage`."""
    repeated = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        repeated = repeated or len(dict(pairs)) < len(pairs)
        return dict(pairs)

    def constant(name: str) -> None:
        raise NoMessage(name)

    def integer(digits: str) -> float:
        return int(digits) if len(digits) < 400 else float(digits)

    try:
        value = json.loads(line, object_pairs_hook=members, parse_constant=constant, parse_int=integer)
    except RecursionError:
        raise Refusal("bad_request", "nested too deep") from None
    except ValueError as error:
        raise NoMessage(error) from None
    return value, repeated


def deep(value: Any) -> bool:
    """Say whether an object nests deeper than `json_depth`."""
    level = [value]
    for _ in range(int(LIMITS["json_depth"])):
        parts = [part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer)]
        level = [part for part in parts if isinstance(part, dict | list)]
    return bool(level)


def clean(value: Any) -> Any:
    """Return a value that can be sent: no half of a character, no number that a double does not hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not -(2**53) < value < 2**53:
        return str(value)
    if isinstance(value, dict):
        return {clean(name): clean(inner) for name, inner in value.items()}
    return [clean(inner) for inner in value] if isinstance(value, list) else value


def understood(message: dict[str, Any], repeated: bool) -> str:
    """Return the type of a valid message; raise `Refusal`."""
    if repeated or deep(message):
        raise Refusal("bad_request", "a member name is repeated, or the nesting is too deep")
    if re.search("[\ud800-\udfff]", json.dumps(message, ensure_ascii=False)):
        raise Refusal("bad_request", "a string holds a lone surrogate")
    kind: Any = message.get("type", "start" if "prompt" in message else None)
    if not text("(?s).+")(kind):
        raise Refusal("bad_request", "a message has a type, or a prompt")
    required, possible = TYPES.get(kind, ([], ["id"]))
    for name in [*required, *(name for name in possible if name in message)]:
        if name not in message or not MEMBERS[name](message[name]):
            raise Refusal("bad_request", f"{name} is missing or malformed")
    return str(kind)


# --- A run and its log ---

runs: dict[str, "Run"] = {}
sessions: dict[str, list["Run"]] = {}


class Ended(Exception):
    """An append to a run that has its terminal."""


class AgentError(Exception):
    """The agent failed: text, code and whether to try again."""


class Run:
    """One run. The append to its log is the one point at which something happens."""

    def __init__(self, start: dict[str, Any], trace_id: str, wake: Any) -> None:
        self.id = start.get("run_id") or secrets.token_urlsafe(16)
        self.epoch = secrets.token_urlsafe(8)
        self.session_id = start.get("session_id") or secrets.token_urlsafe(16)
        self.prompt, self.policy = start["prompt"], start.get("on_disconnect", "grace")
        self.trace_id, self.wake, self.status = trace_id, wake, "queued"
        self.log: list[str] = []
        self.bytes = self.steps = self.steps_after_cancel = 0
        self.calls: dict[str, bool] = {}
        self.halves: dict[Any, dict[str, Any]] = {}
        self.task: asyncio.Task[None] | None = None
        self.cancelled_at: float | None = None
        self.stopped: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        runs[self.id] = self
        session = sessions.setdefault(self.session_id, [])
        session.append(self)
        if session[0] is self:
            self.play()

    @property
    def finished(self) -> bool:
        """Whether the log holds its terminal."""
        return self.status not in ("queued", "running")

    def append(self, event: dict[str, Any]) -> None:
        """Add an event to the log, if the run goes on."""
        if self.finished:
            raise Ended
        line = encoded({"type": event["type"], "run_id": self.id, "seq": len(self.log) + 1} | event)
        self.bytes += len(line.encode())
        if self.bytes > LIMITS["log_bytes"] - 2000 and event["type"] not in ("done", "error"):
            self.end("incomplete", {"type": "done", "data": "the log is full", "reason": "length"})
            raise Ended
        self.log.append(line)
        self.wake()

    def end(self, status: str, terminal: dict[str, Any]) -> None:
        """Append the terminal, unless another was first; stop the agent; let the session's next run begin."""
        if self.finished:
            return
        known = {"status": status} if terminal["type"] == "done" else {}
        self.append(terminal | known | {"trace_id": self.trace_id})
        self.status = status
        if self.task:
            self.task.cancel()
        session = sessions[self.session_id]
        session.remove(self)
        if session and session[0].task is None:
            session[0].play()
        if not session:
            del sessions[self.session_id]
        asyncio.get_running_loop().call_later(LIMITS["resume_window_s"], runs.pop, self.id, None)

    def cancel(self, reason: str) -> None:
        """End the run as cancelled, at once: what the agent still says is refused at the log."""
        if not self.finished:
            self.cancelled_at = time.monotonic()
            self.end("cancelled", {"type": "done", "data": "cancelled", "reason": reason})

    def expire(self) -> None:
        """End the run because its time is over."""
        if not self.finished:
            self.cancelled_at = time.monotonic()
            self.fail("the run took too long", "timeout")

    def fail(self, reason: str, code: str = "agent_error", retryable: bool | None = None) -> None:
        """End the run with an `error`."""
        if retryable is None or (code in TERMINAL - OVERRIDABLE):
            retryable = code in RETRYABLE
        self.end(
            "failed", {"type": "error", "data": clean(reason)[:9999], "code": code, "retryable": retryable}
        )

    def play(self) -> None:
        """Let the agent work."""
        self.status = "running"
        self.task = asyncio.create_task(self.work())

    async def work(self) -> None:
        """Work until the agent ends, fails, takes too long or is stopped."""
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(LIMITS["run_s"], self.expire)
        try:
            await agent(self)
            self.let_go(bool)
            if not all(self.calls.values()):
                raise AgentError("a call has no observation")
            self.end("completed", {"type": "done", "data": "generation completed"})
        except AgentError as error:
            self.fail(*error.args)
        except (Ended, asyncio.CancelledError):
            pass
        except Exception:
            self.fail("the agent failed")
        deadline.cancel()
        self.stopped.set_result(time.monotonic())

    # --- Events that fit ---

    def emit(self, event: dict[str, Any]) -> None:
        """Add an event of the agent, once its characters are whole and its call is one that may be."""
        member, replaces = text_of(event), event["type"] == "replace"
        if replaces:
            self.let_go(lambda held: held["type"] == "token")
        if not member:
            self.let_go(lambda held: held.get("call_id") == event.get("call_id"))
        else:
            beside = event | {member: ""} | ({"type": "token"} if replaces else {})
            key = frozenset(beside.items())
            told = self.halves.pop(key, beside)[member] + event[member]
            if "\ud800" <= told[-1:] <= "\udbff":
                self.halves[key] = beside | {member: told[-1]}
                told = told[:-1]
                if not told and not replaces:
                    return
            event = event | {member: told}
        call: Any = event.get("call_id")
        if event["type"] == "tool_call":
            if call in self.calls:
                raise AgentError("a call is made once")
            self.calls[call] = False
        if event["type"] == "observation":
            if self.calls.get(call, True):
                raise AgentError("an observation of a call that is not open")
            self.calls[call] = not event.get("partial", False)
        self.fit(event)

    def let_go(self, concerned: Any) -> None:
        """Send the halves of characters whose other half can no longer come."""
        for key, held in list(self.halves.items()):
            if concerned(held):
                self.fit(self.halves.pop(key))

    def fit(self, event: dict[str, Any]) -> None:
        """Append an event in a size that may be sent: text divided, a result cut, arguments neither."""
        event, member = clean(event), text_of(event)
        text = member or ("content" if event["type"] == "observation" else "")
        room = int(LIMITS["max_event_bytes"]) - 300 - len(encoded(event | {text: ""}).encode())
        if not deep(event) and len(encoded(event).encode()) < LIMITS["max_event_bytes"] - 300:
            if event["type"] != "token" or event["data"]:
                self.append(event)
        elif not text or room < 6:
            raise AgentError("an event is too large, and may not be cut", "payload_too_large")
        elif member:
            some = room // 6  # so many characters fit, however they are written
            for place in range(0, len(event[member]), some):
                self.append({**event, member: event[member][place : place + some]})
                event["type"] = "token" if event["type"] == "replace" else event["type"]
        else:
            # In a string, what is escaped once is escaped again: no byte becomes more than two.
            cut = encoded(event["content"]).encode()[: room // 2]
            self.append({**event, "content": cut.decode(errors="ignore"), "truncated": True})


def text_of(event: dict[str, Any]) -> str:
    """Return the member whose text may be divided, if an event has one."""
    if event.get("partial"):
        return "content"
    return {"token": "data", "replace": "data", "thinking": "content", "tool_delta": "data"}.get(
        event["type"], ""
    )


# --- A connection ---


class Connection:
    """One WebSocket: what comes in is answered in order, what goes out is read from logs by cursors."""

    def __init__(self, websocket: ServerConnection) -> None:
        self.websocket = websocket
        self.answers: list[dict[str, Any]] = []
        self.cursors: dict[Run, int] = {}
        self.wakeup, self.said = asyncio.Event(), asyncio.Event()
        self.closing = 0
        self.used_at = self.spoke_at = time.monotonic()
        self.asked_at: float | None = None
        self.pinging: set[asyncio.Task[None]] = set()
        assert websocket.request is not None
        given = websocket.request.headers.get_all("traceparent")
        found = re.fullmatch(TRACE, given[0]) if len(given) == 1 else None
        self.trace_id = found[1] if found else None
        self.bound()

    async def serve(self) -> None:
        """Serve until the connection ends; nobody can come back to its runs, so they end as well."""
        ready = {
            "type": "ready",
            "protocol": "runwire",
            "version": 1,
            "connection_id": secrets.token_urlsafe(12),
        }
        trace_id = self.trace_id or secrets.token_hex(16)
        self.say(ready | {"trace_id": trace_id, "limits": LIMITS, "features": FEATURES})
        if draining.is_set():
            self.say(DRAINING)
        if drained.is_set():
            self.close(4000)
        tasks = [asyncio.create_task(part()) for part in (self.receive, self.send, self.watch)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for run in self.cursors:
                if run.policy != "continue":
                    run.cancel("disconnected")

    def say(self, message: dict[str, Any]) -> None:
        """Have a message sent that belongs to no log."""
        self.answers.append(message)
        self.said.clear()
        self.wakeup.set()

    def close(self, code: int) -> None:
        """Have the connection closed when everything was said."""
        self.closing = code
        self.wakeup.set()

    async def receive(self) -> None:
        """Read messages and answer each."""
        async for line in self.websocket:
            if isinstance(line, bytes):
                self.close(1003)
            elif not self.closing:
                try:
                    self.handle(line)
                except NoMessage:
                    self.close(4400)
            if len(self.answers) > 1000:  # a client that does not read is not read from
                await self.said.wait()

    def handle(self, line: str) -> None:
        """Carry out one message, or refuse it."""
        message: Any = {}
        re: dict[str, Any] = {}
        try:
            message, repeated = parsed(line)
            if not isinstance(message, dict):
                raise NoMessage
            if MEMBERS["id"](message.get("id")) and clean(message["id"]) == message["id"]:
                re = {"re": message["id"]}
            kind = understood(message, repeated)
            if kind != "heartbeat":
                self.used_at = time.monotonic()
            if kind == "start":
                self.start(message, re)
            elif kind == "cancel":
                self.cancel(message, re)
            elif kind == "heartbeat":
                self.say({"type": "heartbeat"} | re)
            elif kind in ("resume", "input"):
                raise Refusal("unsupported", "not served here")
            else:
                self.say({"type": "notice", "code": "unknown_type", "data": "a type that is not known"} | re)
        except Refusal as refusal:
            self.used_at = time.monotonic()  # a message that is refused is use, too
            code, reason = refusal.args
            self.say({"type": "error", "code": code, "data": reason, "retryable": code in RETRYABLE} | re)

    def followed(self) -> list[Run]:
        """Return the unfinished runs that the connection follows."""
        return [run for run in self.cursors if not run.finished]

    def start(self, message: dict[str, Any], re: dict[str, str]) -> None:
        """Begin a run, once: its name may not have been used."""
        if message.get("run_id") in runs:
            raise Refusal("conflict", "this run_id is taken")
        if self.followed() and "run_id" not in message:
            raise Refusal("busy", "a run is in progress")
        if len(self.followed()) >= LIMITS["runs_per_connection"]:
            raise Refusal("busy", "the connection follows as many runs as it may")
        if sum(not run.finished for run in runs.values()) >= LIMITS["runs_per_principal"]:
            raise Refusal("busy", "too many runs are unfinished")
        if sum(run.bytes + len(run.prompt) for run in runs.values()) >= LIMITS["kept_bytes_per_principal"]:
            raise Refusal("busy", "as much is kept as may be")
        if draining.is_set():
            raise Refusal("unavailable", "the server takes on no new runs")
        own = message["traceparent"][3:35] if "traceparent" in message else None
        run = Run(message, own or self.trace_id or secrets.token_hex(16), self.wakeup.set)
        started = {"type": "started", "run_id": run.id, "epoch": run.epoch, "session_id": run.session_id}
        self.say(started | {"trace_id": run.trace_id, "status": run.status} | re)
        self.cursors[run] = 0

    def cancel(self, message: dict[str, Any], re: dict[str, str]) -> None:
        """End one run, whoever follows it, or all that this connection follows."""
        named = runs.get(message.get("run_id", ""))
        found = (
            self.followed() if "run_id" not in message else [named] if named and not named.finished else []
        )
        for run in found:
            run.cancel("user")
        if not found:
            self.say({"type": "notice", "code": "not_active", "data": "no unfinished run"} | re)

    async def send(self) -> None:
        """Send answers first, then one event of each run in turn; fill silence with heartbeats."""
        while not self.closing or self.answers:
            self.wakeup.clear()
            while self.answers:
                await self.websocket.send(encoded(self.answers.pop(0)))
                self.spoke_at = time.monotonic()
            self.said.set()
            if not await self.send_events() and not self.closing:
                await self.wait()
        await self.websocket.close(self.closing)

    async def send_events(self) -> bool:
        """Send the next event of every run; say whether there was any."""
        sent = False
        for run, cursor in list(self.cursors.items()):
            if cursor < len(run.log):
                self.cursors[run] = cursor + 1
                await self.websocket.send(run.log[cursor])
                self.spoke_at, sent = time.monotonic(), True
            if run.finished and self.cursors[run] == len(run.log):
                del self.cursors[run]
                self.used_at = time.monotonic()
        return sent

    async def wait(self) -> None:
        """Wait for something to send: at the latest the next heartbeat, or the Close of an idle connection."""
        silent = self.spoke_at + 0.9 * LIMITS["heartbeat_s"]
        until = silent if self.cursors else min(silent, self.used_at + LIMITS["idle_s"])
        try:
            await asyncio.wait_for(self.wakeup.wait(), max(0, until - time.monotonic()))
        except TimeoutError:
            if not self.cursors and time.monotonic() >= self.used_at + LIMITS["idle_s"]:
                self.close(1000)
            elif time.monotonic() >= silent:
                self.say({"type": "heartbeat"})

    # --- What it may cost ---

    def bound(self) -> None:
        """Take 2000 frames at once and 200 a second more: tell a client that sends more, then close."""
        protocol, room, counted_at = self.websocket.protocol, 2000.0, time.monotonic()
        take, told = protocol.recv_frame, False

        def counted(frame: Any) -> None:
            nonlocal room, counted_at, told
            now = time.monotonic()
            room, counted_at = min(2000, room + (now - counted_at) * 200) - 1, now
            if room < -1000:
                protocol.fail(4429)
                return
            if room < 0 and not told:
                told = True
                throttled = {"type": "error", "code": "rate_limited", "data": "too many frames"}
                protocol.send_text(encoded(throttled | {"retryable": True}).encode())
            take(frame)

        receive = protocol.receive_data

        def received(data: bytes | bytearray) -> None:
            receive(data)
            if protocol.reader.buffer:  # a frame that is arriving is use, as a message is
                self.used_at = time.monotonic()

        protocol.recv_frame = counted  # type: ignore[method-assign]
        protocol.receive_data = received  # type: ignore[method-assign]

    # --- Is anybody there? ---

    async def watch(self) -> None:
        """Send Pings; return, and so drop the peer, when it answers none or takes nothing for too long."""
        patience, transport = LIMITS["pong_timeout_s"], self.websocket.transport
        now = pinged_at = taken_at = time.monotonic()
        waiting = unread = 0
        while max(now - taken_at, now - self.asked_at if self.asked_at else 0) <= patience:
            await asyncio.sleep(min(LIMITS["heartbeat_s"], patience) / 10)
            now, before, waiting = time.monotonic(), waiting, transport.get_write_buffer_size()
            if not waiting or waiting < before or self.spoke_at > taken_at:
                taken_at = now
                self.asked_at = now if self.asked_at and waiting else self.asked_at
            read_before, unread = unread, len(self.websocket.protocol.reader.buffer)
            if unread > read_before:  # no Pong can stand inside the frame that is arriving
                self.asked_at = now if self.asked_at else None
            if now - pinged_at > 0.7 * LIMITS["heartbeat_s"]:
                pinged_at, self.asked_at = now, self.asked_at or now
                self.pinging = {task for task in self.pinging if not task.done()}
                self.pinging.add(asyncio.create_task(self.ping()))
        self.websocket.protocol.fail(4001 if waiting else 1011)
        self.websocket.send_data()
        asyncio.get_running_loop().call_later(0.2, transport.abort)

    async def ping(self) -> None:
        """Send a Ping and wait for its Pong."""
        with suppress(ConnectionClosed):
            await (await self.websocket.ping())
            self.asked_at = None


# --- The script agent ---


def counted(steps: Any) -> int:
    """Return how many steps a script has; raise `AgentError` when one is unknown or malformed."""
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise AgentError("steps are a list of objects")
    count = 0
    for step in steps:
        name = next(iter(step.keys() & STEPS.keys()), "")
        beside = step.keys() - {name}
        if "repeat" in step:
            times = step["repeat"]
            if (
                beside != {"steps"}
                or not is_ms(times)
                or times < 1
                or times != int(times)
                or not step["steps"]
            ):
                raise AgentError("repeat takes an integer of at least 1, and steps")
            count += int(times) * counted(step["steps"])
            continue
        allowed = set() if name in ("token", "replace") else {"agent", "parent_call_id"}
        if not (
            name and beside <= allowed and STEPS[name](step[name]) and all(CALL(step[n]) for n in beside)
        ):
            raise AgentError("a step is unknown or malformed")
        count += 1
    return count


def members(optional: dict[str, Any] | None = None, **required: Any) -> Any:
    """Return a test for objects with these members."""
    known = required | (optional or {})
    return lambda value: (
        isinstance(value, dict)
        and required.keys() <= value.keys() <= known.keys()
        and all(known[name](inner) for name, inner in value.items())
    )


def is_ms(value: Any) -> bool:
    """Say whether a value is a finite number of at least 0."""
    return type(value) in (int, float) and 0 <= value < math.inf


CALL, ANY, STRING = text("(?s).{1,256}"), MEMBERS["data"], MEMBERS["prompt"]
FLAG = {name: lambda value: isinstance(value, bool) for name in ("is_error", "partial", "retryable")}
STEPS: dict[str, Any] = {
    "token": STRING,
    "replace": STRING,
    "thinking": STRING,
    "tool_delta": members(call_id=CALL, name=STRING, data=STRING),
    "tool_call": members(call_id=CALL, name=STRING, input=ANY),
    "observation": members(FLAG, call_id=CALL, content=ANY),
    "wait_ms": is_ms,
    "block_ms": is_ms,
    "report": STRING,
    "fail": members(FLAG, code=lambda code: code in TERMINAL or text(".+:.+")(code), data=STRING),
    "repeat": ANY,
}


async def agent(run: Run) -> None:
    """Play a script; answer any other prompt with its own words."""
    try:
        script, _ = parsed(run.prompt)
    except (NoMessage, Refusal):
        script = None
    if (
        isinstance(script, dict)
        and script.keys() == {"runwire_script"}
        and isinstance(script["runwire_script"], list)
    ):
        if counted(script["runwire_script"]) > 1_000_000:
            raise AgentError("a script of more than a million steps")
        await play(run, script["runwire_script"])
    else:
        for word in f"You said: {run.prompt}".split(" "):
            run.emit({"type": "token", "data": word + " "})
            await asyncio.sleep(0.02)


async def play(run: Run, steps: list[dict[str, Any]]) -> None:
    """Play steps in order, letting others have their turn."""
    for step in steps:
        if "repeat" in step:
            for _ in range(int(step["repeat"])):
                await play(run, step["steps"])
            continue
        run.steps += 1
        run.steps_after_cancel += run.cancelled_at is not None
        if run.steps % 200 == 0:
            await asyncio.sleep(0)
        name = next(iter(step.keys() & STEPS.keys()))
        await play_step(run, name, step[name], {key: step[key] for key in step.keys() - {name}})


async def play_step(run: Run, name: str, value: Any, beside: dict[str, Any]) -> None:
    """Play one step."""
    if name == "wait_ms":
        await asyncio.sleep(min(value, 1e9) / 1000)
    elif name == "block_ms":
        blocked = asyncio.create_task(asyncio.sleep(min(value, 1e9) / 1000))
        while not blocked.done():
            try:
                await asyncio.shield(blocked)
            except asyncio.CancelledError:
                await asyncio.wait({blocked})
                raise
    elif name == "report":
        run.emit({"type": "token", "data": encoded(await report(run, value))})
    elif name == "fail":
        raise AgentError(value["data"], value["code"], value.get("retryable"))
    else:
        member = text_of({"type": name}) if isinstance(value, str) else ""
        run.emit({"type": name} | ({member: value} if member else value) | beside)


async def report(run: Run, run_id: str) -> dict[str, Any]:
    """Wait until the agent of another run has stopped; return how long that took and what it still did."""
    other = runs.get(run_id, run)
    if other is run or other.task is None:
        raise AgentError("a report on a run that is not known, or never began")
    stopped_at = await asyncio.shield(other.stopped)
    took = None if other.cancelled_at is None else max(0, stopped_at - other.cancelled_at) * 1000
    return {"stopped_after_ms": took, "steps_after_cancel": other.steps_after_cancel}


# --- The process ---

DRAINING = {"type": "notice", "code": "draining", "data": "the server will close"}
connections: set[Connection] = set()
draining, drained = asyncio.Event(), asyncio.Event()


async def serve_one(websocket: ServerConnection) -> None:
    """Serve one connection, from its `ready` to its end."""
    connection = Connection(websocket)
    connections.add(connection)
    try:
        await connection.serve()
    except ConnectionClosed:
        pass
    finally:
        connections.discard(connection)


async def soon(happened: Any, seconds: float) -> None:
    """Wait until something has happened, or so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not happened():  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def drain() -> None:
    """Let the runs end and readers that lag be sent the rest, for `drain_s`; end the others, and send everyone away."""
    until = time.monotonic() + LIMITS["drain_s"]
    for connection in connections:
        connection.say(DRAINING)
    await soon(lambda: all(run.finished for run in runs.values()), LIMITS["drain_s"])
    for run in list(runs.values()):
        run.fail("the server was stopped", "worker_lost")
    left = max(1, until - time.monotonic())
    await soon(lambda: not any(connection.cursors for connection in connections), left)
    drained.set()
    for connection in connections:
        connection.close(4000)
    await soon(lambda: not connections, 1)


async def main(port: int) -> None:
    """Serve until a SIGTERM, then drain."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, draining.set)
    async with serve(
        serve_one, "127.0.0.1", port, process_request=answer, compression=None, ping_interval=None, close_timeout=1,
        max_size=int(LIMITS["max_message_bytes"]), server_header=None,
        select_subprotocol=lambda _, offered: "runwire.v1" if offered else None,  # type: ignore[arg-type, return-value]
    ) as server:  # fmt: skip
        print(f"The smallest server at http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await draining.wait()
        await drain()


if __name__ == "__main__":
    options = dict(option.removeprefix("--").replace("-", "_").split("=") for option in sys.argv[1:])
    listen = int(options.pop("port", 8080))
    LIMITS |= {name: float(value) if name.endswith("_s") else int(value) for name, value in options.items()}
    asyncio.run(main(listen))
