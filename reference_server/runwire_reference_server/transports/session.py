"""Protocol state machine of one WebSocket connection, without I/O.

`receive` turns a text into a command for the transport to carry out; the transport then tells the session what
came of it, and the session says which messages that makes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from runwire_reference_server.run_log.registry import ERRORS
from runwire_reference_server.run_log.runs import RunRequest
from runwire_reference_server.run_log.store import Snapshot
from runwire_reference_server.service.settings import Settings
from runwire_reference_server.transports.wire.strict_json import (
    BadMessage,
    NotJson,
    identifier_of,
    read_object,
)
from runwire_schemas import CLIENT_TYPES, client_message_violations

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Send:
    """Send `message`; nothing else happens."""

    message: Message


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection with `code`."""

    code: int


@dataclass(frozen=True, slots=True)
class Start:
    """Start a run."""

    request: RunRequest
    re: str | None


@dataclass(frozen=True, slots=True)
class Resume:
    """Read a run's log from `after`."""

    run_id: str
    after: int
    epoch: str | None
    re: str | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """End `run_ids`, each of which may turn out to be finished."""

    run_ids: tuple[str, ...]
    re: str | None


@dataclass(frozen=True, slots=True)
class Input:
    """Answer an input request with `data`."""

    run_id: str
    request_id: str
    data: Any
    re: str | None


Command = Send | Close | Start | Resume | Cancel | Input


@dataclass(slots=True)
class Session:
    """The state of one connection: `followed` are the ids of the runs that it has a reader of."""

    settings: Settings
    connection_id: str
    trace_id: str
    trace_given: bool = False
    followed: Collection[str] = ()

    def ready(self) -> Message:
        """Return the first message of the connection ([CONN-15] to [CONN-18])."""
        return {
            "type": "ready",
            "protocol": "runwire",
            "version": 1,
            "connection_id": self.connection_id,
            "trace_id": self.trace_id,
            "limits": dict(self.settings.limits),
            "features": list(self.settings.features),
        }

    def receive(self, text: str) -> Command:
        """Return what the client's `text` asks for."""
        try:
            message = read_object(text, self.settings.number("json_depth"))
        except NotJson:
            return Close(4400)
        except BadMessage as problem:
            return Send(refusal("bad_request", str(problem), problem.identifier))
        re = identifier_of(message)
        if violations := client_message_violations(message):
            return Send(refusal("bad_request", str(violations[0]), re))
        if isinstance(message.get("after"), float) and message.get("type") == "resume":
            return Send(refusal("bad_request", "/after: must be written as an integer", re))  # [MSG-33]
        kind = message.get("type", "start")
        if kind not in CLIENT_TYPES:
            return Send(notice("unknown_type", "the server does not know this type of message", re))
        return self._known(kind, message, re)

    def _known(self, kind: str, message: Message, re: str | None) -> Command:
        if kind == "heartbeat":
            return Send(answer({"type": "heartbeat"}, re))
        if kind == "start":
            return Start(run_request(message, self.trace_id if self.trace_given else None), re)  # [OBS-3]
        if kind == "cancel":
            run_id = message.get("run_id")
            return Cancel((run_id,) if run_id else tuple(self.followed), re)
        if not self.settings.serves(kind):
            # [RESUME-17], [INPUT-18]
            return Send(refusal("unsupported", f"this server does not serve {kind}", re))
        if kind == "input":
            return Input(message["run_id"], message["request_id"], message["data"], re)
        return Resume(message["run_id"], message["after"], message.get("epoch"), re)

    def may_be_full(self, run_id: str | None) -> bool:
        """Whether a further run is one too many, if all that are followed are unfinished ([RUN-7], [RUN-24])."""
        most = self.settings.number("runs_per_connection") if run_id is not None else 1
        return run_id not in self.followed and len(self.followed) >= most


def started(run: Snapshot, re: str | None = None) -> Message:
    """Return the answer to an accepted start ([RUN-3])."""
    return answer(
        {
            "type": "started",
            "run_id": run.key.run_id,
            "epoch": run.epoch,
            "session_id": run.session_id,
            "trace_id": run.trace_id,
            "status": run.status,
        },
        re,
    )


def resumed(run: Snapshot, after: int, re: str | None = None) -> Message:
    """Return the answer to a resume ([RESUME-9])."""
    return answer(
        {
            "type": "resumed",
            "run_id": run.key.run_id,
            "epoch": run.epoch,
            "next_seq": after + 1,
            "last_seq": run.seq,  # [RESUME-28]
            "status": run.status,
            "trace_id": run.trace_id,
        },
        re,
    )


def refusal(code: str, data: str, re: str | None, retry_after_s: float | None = None) -> Message:
    """Return the `error` that refuses a message ([EVENT-24])."""
    message: Message = {"type": "error", "data": data, "code": code, "retryable": ERRORS[code].retryable}
    if retry_after_s is not None:
        message["retry_after_ms"] = round(retry_after_s * 1000)
    return answer(message, re)


def notice(code: str, data: str, re: str | None = None) -> Message:
    """Return a `notice`."""
    return answer({"type": "notice", "code": code, "data": data}, re)


def answer(message: Message, re: str | None) -> Message:
    """Return `message` as the answer to the client's message with that `id` ([MSG-28], [MSG-29])."""
    return message if re is None else message | {"re": re}


def run_request(message: Mapping[str, Any], trace_id: str | None = None) -> RunRequest:
    """Return what a valid `start` or body of `POST {runs}` asks for."""
    traceparent = message.get("traceparent")
    return RunRequest(
        prompt=message["prompt"],
        run_id=message.get("run_id"),
        session_id=message.get("session_id"),
        inputs=message.get("inputs", {}),
        on_disconnect=message.get("on_disconnect", "grace"),
        trace_id=traceparent[3:35] if traceparent else trace_id,  # [OBS-2]
    )
