"""The messages and documents of Runwire, as types. Generated from the schemas by `make generate`."""
# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict


class CancelMessage(TypedDict):
    """Client to server: end a run, or every unfinished run that the connection follows."""

    type: Literal["cancel"]
    id: NotRequired[str]
    """Names a message of the client; its direct answer repeats it as `re`."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""


class ClientHeartbeatMessage(TypedDict):
    """Client to server: asks for exactly one heartbeat in answer."""

    type: Literal["heartbeat"]
    id: NotRequired[str]
    """Names a message of the client; its direct answer repeats it as `re`."""


class DiscoveryEndpoints(TypedDict):
    websocket: str
    runs: NotRequired[str]
    tickets: NotRequired[str]


class DiscoveryServer(TypedDict):
    name: NotRequired[str]
    version: NotRequired[str]


class Discovery(TypedDict):
    """What a server says about itself at its discovery URL."""

    protocol: Literal["runwire"]
    versions: list[int]
    endpoints: DiscoveryEndpoints
    features: list[str]
    """The names of the features that are served."""
    limits: Limits
    """The limits of a server: JSON numbers under their registered names. Their bounds stand in the limits registry."""
    auth: list[str]
    script_agent: NotRequired[bool]
    server: NotRequired[DiscoveryServer]


class DoneMessageUsage(TypedDict):
    """What the model calls of the run cost; a count that is absent was not told."""

    input_tokens: NotRequired[int]
    """Every token of the prompts."""
    output_tokens: NotRequired[int]
    """Every token that was generated."""
    cached_input_tokens: NotRequired[int]
    """Those of `input_tokens` that were read from a cache."""
    cache_write_input_tokens: NotRequired[int]
    """Those of `input_tokens` that were written to a cache."""
    reasoning_tokens: NotRequired[int]
    """Those of `output_tokens` that are reasoning."""


class DoneMessage(TypedDict):
    """Server to client, terminal event of a run: it ended as planned, was cut or was cancelled."""

    type: Literal["done"]
    data: str
    """Text for a person."""
    status: NotRequired[Literal["completed", "cancelled", "incomplete"]]
    """How it ended; `completed` when absent."""
    reason: NotRequired[str]
    """Why it was not completed: one of the registry, such as `user` or `length`, or a vendor's name with a colon."""
    usage: NotRequired[DoneMessageUsage]
    """What the model calls of the run cost; a count that is absent was not told."""
    trace_id: NotRequired[str]
    """The trace id of W3C Trace Context."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    seq: NotRequired[int]
    """Place of an event in its run's log: 1, 2, 3 and so on."""
    ts: NotRequired[str]
    """When the event was appended, RFC 3339, UTC."""
    agent: NotRequired[str]
    """The sub-agent that speaks."""
    parent_call_id: NotRequired[str]
    """The call that the sub-agent works for."""


class ErrorMessageUsage(TypedDict):
    """What the model calls of the run cost; a count that is absent was not told."""

    input_tokens: NotRequired[int]
    """Every token of the prompts."""
    output_tokens: NotRequired[int]
    """Every token that was generated."""
    cached_input_tokens: NotRequired[int]
    """Those of `input_tokens` that were read from a cache."""
    cache_write_input_tokens: NotRequired[int]
    """Those of `input_tokens` that were written to a cache."""
    reasoning_tokens: NotRequired[int]
    """Those of `output_tokens` that are reasoning."""


class ErrorMessage(TypedDict):
    """Server to client. With `run_id` and `seq` the terminal event of a run; without them the refusal of the message that `re` names."""

    type: Literal["error"]
    data: str
    """Text for a person."""
    code: NotRequired[str]
    """A registered code, or a vendor's with a colon; a code that is not known reads as `internal`."""
    retryable: NotRequired[bool]
    """Whether trying again can help; `false` when absent."""
    retry_after_ms: NotRequired[int]
    """How long to wait before trying again, in milliseconds."""
    usage: NotRequired[ErrorMessageUsage]
    """What the model calls of the run cost; a count that is absent was not told."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    seq: NotRequired[int]
    """Place of an event in its run's log: 1, 2, 3 and so on."""
    re: NotRequired[str]
    """Names a message of the client; its direct answer repeats it as `re`."""
    ts: NotRequired[str]
    """When the event was appended, RFC 3339, UTC."""
    agent: NotRequired[str]
    """The sub-agent that speaks."""
    parent_call_id: NotRequired[str]
    """The call that the sub-agent works for."""
    trace_id: NotRequired[str]
    """The trace id of W3C Trace Context."""


class HeartbeatMessage(TypedDict):
    """Server to client, control: a sign of life, or the answer to the client's heartbeat."""

    type: Literal["heartbeat"]
    re: NotRequired[str]
    """Names a message of the client; its direct answer repeats it as `re`."""


class InputMessage(TypedDict):
    """Client to server: the answer to an input request."""

    type: Literal["input"]
    id: NotRequired[str]
    """Names a message of the client; its direct answer repeats it as `re`."""
    run_id: str
    """An identifier from a good random source."""
    request_id: str
    """Names an input request within its run."""
    data: Any
    """A boolean, a string or an object, as the request asks."""


class InputRequestBody(TypedDict):
    """The answer to an input request."""

    request_id: str
    """Names an input request within its run."""
    data: Any
    """A boolean, a string or an object, as the request asks."""


class InputClosedMessage(TypedDict):
    """Server to client, event of a run: an input request is settled. It never holds the answer."""

    type: Literal["input_closed"]
    request_id: str
    """Names an input request within its run."""
    outcome: Literal["answered", "expired", "withdrawn"]
    """How it was settled."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    seq: NotRequired[int]
    """Place of an event in its run's log: 1, 2, 3 and so on."""
    ts: NotRequired[str]
    """When the event was appended, RFC 3339, UTC."""
    agent: NotRequired[str]
    """The sub-agent that speaks."""
    parent_call_id: NotRequired[str]
    """The call that the sub-agent works for."""


class InputRequestMessage(TypedDict):
    """Server to client, event of a run: a question to the user."""

    type: Literal["input_request"]
    request_id: str
    """Names an input request within its run."""
    kind: Literal["approval", "question", "form"]
    """What is asked: a boolean, a string, or an object valid against `schema`."""
    data: NotRequired[str]
    """The question, for a person."""
    call_id: NotRequired[str]
    """Names a tool call within its run."""
    schema: NotRequired[dict[str, Any] | bool]
    """JSON Schema 2020-12 of the answer to a form."""
    expires_at: str
    """When the request closes by itself, RFC 3339, UTC."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    seq: NotRequired[int]
    """Place of an event in its run's log: 1, 2, 3 and so on."""
    ts: NotRequired[str]
    """When the event was appended, RFC 3339, UTC."""
    agent: NotRequired[str]
    """The sub-agent that speaks."""
    parent_call_id: NotRequired[str]
    """The call that the sub-agent works for."""


class Limits(TypedDict):
    """The limits of a server: JSON numbers under their registered names. Their bounds stand in the limits registry."""

    max_message_bytes: NotRequired[int]
    max_event_bytes: NotRequired[int]
    json_depth: NotRequired[int]
    connections_per_principal: NotRequired[int]
    runs_per_connection: NotRequired[int]
    runs_per_principal: NotRequired[int]
    idle_s: NotRequired[float]
    run_s: NotRequired[float]
    input_s: NotRequired[float]
    heartbeat_s: NotRequired[float]
    pong_timeout_s: NotRequired[float]
    detach_grace_s: NotRequired[float]
    resume_window_s: NotRequired[float]
    cancel_quiet_ms: NotRequired[float]
    cancel_deadline_ms: NotRequired[float]
    send_buffer_bytes: NotRequired[int]
    log_bytes: NotRequired[int]
    kept_bytes_per_principal: NotRequired[int]
    worker_lost_s: NotRequired[float]
    drain_s: NotRequired[float]
    stream_s: NotRequired[float]
    """Optional: the least age at which a stream or connection is ended for its age."""


class NoticeMessage(TypedDict):
    """Server to client, control: something that ends nothing."""

    type: Literal["notice"]
    code: str
    """A registered code, or a vendor's with a colon; a code that is not known reads as `internal`."""
    data: str
    """Text for a person."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    re: NotRequired[str]
    """Names a message of the client; its direct answer repeats it as `re`."""


class ObservationMessage(TypedDict):
    """Server to client, event of a run: what a tool gave. Final, or partial with text to append to the call's display."""

    type: Literal["observation"]
    call_id: NotRequired[str]
    """Names a tool call within its run."""
    content: Any
    """The result, any JSON value; a string when `partial` is true."""
    is_error: NotRequired[bool]
    """Whether the tool failed."""
    truncated: NotRequired[bool]
    """Whether `content` is JSON text cut to fit."""
    partial: NotRequired[bool]
    """Whether this is a piece of the result, superseded by the final observation."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    seq: NotRequired[int]
    """Place of an event in its run's log: 1, 2, 3 and so on."""
    first_seq: NotRequired[int]
    """The `seq` of the first of the merged events."""
    ts: NotRequired[str]
    """When the event was appended, RFC 3339, UTC."""
    agent: NotRequired[str]
    """The sub-agent that speaks."""
    parent_call_id: NotRequired[str]
    """The call that the sub-agent works for."""


class Problem(TypedDict):
    """RFC 9457 problem details with Runwire's members."""

    type: NotRequired[str]
    title: str
    """What is wrong, in a few words."""
    status: int
    detail: NotRequired[str]
    """What is wrong here, for a person."""
    instance: NotRequired[str]
    code: str
    """A registered code, or a vendor's with a colon; a code that is not known reads as `internal`."""
    retryable: bool
    retry_after_ms: NotRequired[int]
    """How long to wait before trying again, in milliseconds."""


class ReadyMessage(TypedDict):
    """Server to client, control: the first message of every WebSocket connection."""

    type: Literal["ready"]
    protocol: str
    """`runwire`."""
    version: int
    connection_id: str
    trace_id: str
    """The trace id of W3C Trace Context."""
    limits: Limits
    """The limits of a server: JSON numbers under their registered names. Their bounds stand in the limits registry."""
    features: list[str]
    """The names of the features that are served."""


class ReplaceMessage(TypedDict):
    """Server to client, event of a run: the answer so far is this instead."""

    type: Literal["replace"]
    data: str
    """The answer text so far."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    seq: NotRequired[int]
    """Place of an event in its run's log: 1, 2, 3 and so on."""
    ts: NotRequired[str]
    """When the event was appended, RFC 3339, UTC."""


class ResumeMessage(TypedDict):
    """Client to server: read a run's log from a cursor."""

    type: Literal["resume"]
    id: NotRequired[str]
    """Names a message of the client; its direct answer repeats it as `re`."""
    run_id: str
    """An identifier from a good random source."""
    after: int
    """The last `seq` a reader has; 0 for none."""
    epoch: NotRequired[str]
    """Names one life of a run's log."""


class ResumedMessage(TypedDict):
    """Server to client, control: the reader stands at the cursor that was asked for."""

    type: Literal["resumed"]
    run_id: str
    """An identifier from a good random source."""
    epoch: str
    """Names one life of a run's log."""
    next_seq: int
    """The `seq` of the next event to come."""
    last_seq: NotRequired[int]
    """The `seq` of the last event in the log; 0 when it has none."""
    status: Literal["queued", "running", "waiting", "completed", "incomplete", "cancelled", "failed"]
    """The state of the run."""
    trace_id: str
    """The trace id of W3C Trace Context."""
    re: NotRequired[str]
    """Names a message of the client; its direct answer repeats it as `re`."""


class RunAccepted(TypedDict):
    """The run was accepted."""

    run_id: str
    """An identifier from a good random source."""
    epoch: str
    """Names one life of a run's log."""
    status: Literal["queued", "running", "waiting", "completed", "incomplete", "cancelled", "failed"]
    """The state of the run."""


class RunEvents(TypedDict):
    """What the log of a run holds behind a cursor."""

    run_id: str
    """An identifier from a good random source."""
    epoch: str
    """Names one life of a run's log."""
    status: Literal["queued", "running", "waiting", "completed", "incomplete", "cancelled", "failed"]
    """The state of the run."""
    next: str
    """The cursor for the next poll: epoch, dot and `seq`."""
    events: list[ServerMessage]
    """The events behind the cursor, in order; empty when there are none."""


class RunOutcome(TypedDict):
    """The run as of now; the log says how it ends."""

    run_id: str
    """An identifier from a good random source."""
    status: Literal["queued", "running", "waiting", "completed", "incomplete", "cancelled", "failed"]
    """The state of the run."""
    seq: int
    """The last `seq` a reader has; 0 for none."""


class RunStatus(TypedDict):
    """A run as of `seq`, from one atomic read."""

    run_id: str
    """An identifier from a good random source."""
    epoch: str
    """Names one life of a run's log."""
    status: Literal["queued", "running", "waiting", "completed", "incomplete", "cancelled", "failed"]
    """The state of the run."""
    seq: int
    """The last `seq` of the log; 0 when it is empty."""
    text: str
    """The answer text as of `seq`."""


class StartMessage(TypedDict):
    """Client to server: begin a run. A message without `type` that has a `prompt` is one too."""

    type: NotRequired[Literal["start"]]
    id: NotRequired[str]
    """Names a message of the client; its direct answer repeats it as `re`."""
    prompt: str
    """What the agent is to work on."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    session_id: NotRequired[str]
    """An identifier from a good random source."""
    inputs: NotRequired[dict[str, Any]]
    """The application's own; attachments by reference."""
    on_disconnect: NotRequired[Literal["grace", "cancel", "continue"]]
    """What becomes of the run when nobody reads it; `grace` when absent."""
    traceparent: NotRequired[str]
    """A `traceparent` of W3C Trace Context."""


class StartedMessage(TypedDict):
    """Server to client, control: the `start` was accepted."""

    type: Literal["started"]
    run_id: str
    """An identifier from a good random source."""
    epoch: str
    """Names one life of a run's log."""
    session_id: str
    """An identifier from a good random source."""
    trace_id: str
    """The trace id of W3C Trace Context."""
    status: Literal["queued", "running", "waiting", "completed", "incomplete", "cancelled", "failed"]
    """The state of the run."""
    re: NotRequired[str]
    """Names a message of the client; its direct answer repeats it as `re`."""


class ThinkingMessage(TypedDict):
    """Server to client, event of a run: reasoning text to append."""

    type: Literal["thinking"]
    content: str
    """The text to append."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    seq: NotRequired[int]
    """Place of an event in its run's log: 1, 2, 3 and so on."""
    first_seq: NotRequired[int]
    """The `seq` of the first of the merged events."""
    ts: NotRequired[str]
    """When the event was appended, RFC 3339, UTC."""
    agent: NotRequired[str]
    """The sub-agent that speaks."""
    parent_call_id: NotRequired[str]
    """The call that the sub-agent works for."""


class Ticket(TypedDict):
    """A single-use credential for one WebSocket handshake."""

    ticket: str
    expires_in_s: float


class TokenMessage(TypedDict):
    """Server to client, event of a run: text to append to the answer."""

    type: Literal["token"]
    data: str
    """The text to append."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    seq: NotRequired[int]
    """Place of an event in its run's log: 1, 2, 3 and so on."""
    first_seq: NotRequired[int]
    """The `seq` of the first of the merged events."""
    ts: NotRequired[str]
    """When the event was appended, RFC 3339, UTC."""


class ToolCallMessage(TypedDict):
    """Server to client, event of a run: a tool is about to run."""

    type: Literal["tool_call"]
    call_id: NotRequired[str]
    """Names a tool call within its run."""
    name: str
    """The tool's name."""
    input: Any
    """The complete arguments, any JSON value."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    seq: NotRequired[int]
    """Place of an event in its run's log: 1, 2, 3 and so on."""
    ts: NotRequired[str]
    """When the event was appended, RFC 3339, UTC."""
    agent: NotRequired[str]
    """The sub-agent that speaks."""
    parent_call_id: NotRequired[str]
    """The call that the sub-agent works for."""


class ToolDeltaMessage(TypedDict):
    """Server to client, event of a run: a preview of a call's arguments, void unless its tool_call follows."""

    type: Literal["tool_delta"]
    call_id: str
    """Names a tool call within its run."""
    name: str
    """The tool's name."""
    data: str
    """A piece of the arguments as text."""
    run_id: NotRequired[str]
    """An identifier from a good random source."""
    seq: NotRequired[int]
    """Place of an event in its run's log: 1, 2, 3 and so on."""
    first_seq: NotRequired[int]
    """The `seq` of the first of the merged events."""
    ts: NotRequired[str]
    """When the event was appended, RFC 3339, UTC."""
    agent: NotRequired[str]
    """The sub-agent that speaks."""
    parent_call_id: NotRequired[str]
    """The call that the sub-agent works for."""


ClientMessage: TypeAlias = (
    StartMessage
    | CancelMessage
    | ResumeMessage
    | InputMessage
    | ClientHeartbeatMessage
)

ServerMessage: TypeAlias = (
    ReadyMessage
    | StartedMessage
    | ResumedMessage
    | NoticeMessage
    | HeartbeatMessage
    | TokenMessage
    | ReplaceMessage
    | ThinkingMessage
    | ToolDeltaMessage
    | ToolCallMessage
    | ObservationMessage
    | InputRequestMessage
    | InputClosedMessage
    | DoneMessage
    | ErrorMessage
)

RunEvent: TypeAlias = (
    TokenMessage
    | ReplaceMessage
    | ThinkingMessage
    | ToolDeltaMessage
    | ToolCallMessage
    | ObservationMessage
    | InputRequestMessage
    | InputClosedMessage
    | DoneMessage
    | ErrorMessage
)
