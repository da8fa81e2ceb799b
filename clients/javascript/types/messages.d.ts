// The messages and documents of Runwire, as types. Generated from the schemas by `make generate`.

/** Client to server: end a run, or every unfinished run that the connection follows. */
export interface CancelMessage {
  type: "cancel";
  /** Names a message of the client; its direct answer repeats it as `re`. */
  id?: string;
  /** An identifier from a good random source. */
  run_id?: string;
}

/** Client to server: asks for exactly one heartbeat in answer. */
export interface ClientHeartbeatMessage {
  type: "heartbeat";
  /** Names a message of the client; its direct answer repeats it as `re`. */
  id?: string;
}

export interface DiscoveryEndpoints {
  websocket: string;
  runs?: string;
  tickets?: string;
}

export interface DiscoveryServer {
  name?: string;
  version?: string;
}

/** What a server says about itself at its discovery URL. */
export interface Discovery {
  protocol: "runwire";
  versions: number[];
  endpoints: DiscoveryEndpoints;
  /** The names of the features that are served. */
  features: string[];
  /** The limits of a server: JSON numbers under their registered names. Their bounds stand in the limits registry. */
  limits: Limits;
  auth: string[];
  script_agent?: boolean;
  server?: DiscoveryServer;
}

/** What the model calls of the run cost; a count that is absent was not told. */
export interface DoneMessageUsage {
  /** Every token of the prompts. */
  input_tokens?: number;
  /** Every token that was generated. */
  output_tokens?: number;
  /** Those of `input_tokens` that were read from a cache. */
  cached_input_tokens?: number;
  /** Those of `input_tokens` that were written to a cache. */
  cache_write_input_tokens?: number;
  /** Those of `output_tokens` that are reasoning. */
  reasoning_tokens?: number;
}

/** Server to client, terminal event of a run: it ended as planned, was cut or was cancelled. */
export interface DoneMessage {
  type: "done";
  /** Text for a person. */
  data: string;
  /** How it ended; `completed` when absent. */
  status?: "completed" | "cancelled" | "incomplete";
  /** Why it was not completed: one of the registry, such as `user` or `length`, or a vendor's name with a colon. */
  reason?: string;
  /** What the model calls of the run cost; a count that is absent was not told. */
  usage?: DoneMessageUsage;
  /** The trace id of W3C Trace Context. */
  trace_id?: string;
  /** An identifier from a good random source. */
  run_id?: string;
  /** Place of an event in its run's log: 1, 2, 3 and so on. */
  seq?: number;
  /** When the event was appended, RFC 3339, UTC. */
  ts?: string;
  /** The sub-agent that speaks. */
  agent?: string;
  /** The call that the sub-agent works for. */
  parent_call_id?: string;
}

/** What the model calls of the run cost; a count that is absent was not told. */
export interface ErrorMessageUsage {
  /** Every token of the prompts. */
  input_tokens?: number;
  /** Every token that was generated. */
  output_tokens?: number;
  /** Those of `input_tokens` that were read from a cache. */
  cached_input_tokens?: number;
  /** Those of `input_tokens` that were written to a cache. */
  cache_write_input_tokens?: number;
  /** Those of `output_tokens` that are reasoning. */
  reasoning_tokens?: number;
}

/** Server to client. With `run_id` and `seq` the terminal event of a run; without them the refusal of the message that `re` names. */
export interface ErrorMessage {
  type: "error";
  /** Text for a person. */
  data: string;
  /** A registered code, or a vendor's with a colon; a code that is not known reads as `internal`. */
  code?: string;
  /** Whether trying again can help; `false` when absent. */
  retryable?: boolean;
  /** How long to wait before trying again, in milliseconds. */
  retry_after_ms?: number;
  /** What the model calls of the run cost; a count that is absent was not told. */
  usage?: ErrorMessageUsage;
  /** An identifier from a good random source. */
  run_id?: string;
  /** Place of an event in its run's log: 1, 2, 3 and so on. */
  seq?: number;
  /** Names a message of the client; its direct answer repeats it as `re`. */
  re?: string;
  /** When the event was appended, RFC 3339, UTC. */
  ts?: string;
  /** The sub-agent that speaks. */
  agent?: string;
  /** The call that the sub-agent works for. */
  parent_call_id?: string;
  /** The trace id of W3C Trace Context. */
  trace_id?: string;
}

/** Server to client, control: a sign of life, or the answer to the client's heartbeat. */
export interface HeartbeatMessage {
  type: "heartbeat";
  /** Names a message of the client; its direct answer repeats it as `re`. */
  re?: string;
}

/** Client to server: the answer to an input request. */
export interface InputMessage {
  type: "input";
  /** Names a message of the client; its direct answer repeats it as `re`. */
  id?: string;
  /** An identifier from a good random source. */
  run_id: string;
  /** Names an input request within its run. */
  request_id: string;
  /** A boolean, a string or an object, as the request asks. */
  data: unknown;
}

/** The answer to an input request. */
export interface InputRequestBody {
  /** Names an input request within its run. */
  request_id: string;
  /** A boolean, a string or an object, as the request asks. */
  data: unknown;
}

/** Server to client, event of a run: an input request is settled. It never holds the answer. */
export interface InputClosedMessage {
  type: "input_closed";
  /** Names an input request within its run. */
  request_id: string;
  /** How it was settled. */
  outcome: "answered" | "expired" | "withdrawn";
  /** An identifier from a good random source. */
  run_id?: string;
  /** Place of an event in its run's log: 1, 2, 3 and so on. */
  seq?: number;
  /** When the event was appended, RFC 3339, UTC. */
  ts?: string;
  /** The sub-agent that speaks. */
  agent?: string;
  /** The call that the sub-agent works for. */
  parent_call_id?: string;
}

/** Server to client, event of a run: a question to the user. */
export interface InputRequestMessage {
  type: "input_request";
  /** Names an input request within its run. */
  request_id: string;
  /** What is asked: a boolean, a string, or an object valid against `schema`. */
  kind: "approval" | "question" | "form";
  /** The question, for a person. */
  data?: string;
  /** Names a tool call within its run. */
  call_id?: string;
  /** JSON Schema 2020-12 of the answer to a form. */
  schema?: Record<string, unknown> | boolean;
  /** When the request closes by itself, RFC 3339, UTC. */
  expires_at: string;
  /** An identifier from a good random source. */
  run_id?: string;
  /** Place of an event in its run's log: 1, 2, 3 and so on. */
  seq?: number;
  /** When the event was appended, RFC 3339, UTC. */
  ts?: string;
  /** The sub-agent that speaks. */
  agent?: string;
  /** The call that the sub-agent works for. */
  parent_call_id?: string;
}

/** The limits of a server: JSON numbers under their registered names. Their bounds stand in the limits registry. */
export interface Limits {
  max_message_bytes?: number;
  max_event_bytes?: number;
  json_depth?: number;
  connections_per_principal?: number;
  runs_per_connection?: number;
  runs_per_principal?: number;
  idle_s?: number;
  run_s?: number;
  input_s?: number;
  heartbeat_s?: number;
  pong_timeout_s?: number;
  detach_grace_s?: number;
  resume_window_s?: number;
  cancel_quiet_ms?: number;
  cancel_deadline_ms?: number;
  send_buffer_bytes?: number;
  log_bytes?: number;
  kept_bytes_per_principal?: number;
  worker_lost_s?: number;
  drain_s?: number;
  /** Optional: the least age at which a stream or connection is ended for its age. */
  stream_s?: number;
}

/** Server to client, control: something that ends nothing. */
export interface NoticeMessage {
  type: "notice";
  /** A registered code, or a vendor's with a colon; a code that is not known reads as `internal`. */
  code: string;
  /** Text for a person. */
  data: string;
  /** An identifier from a good random source. */
  run_id?: string;
  /** Names a message of the client; its direct answer repeats it as `re`. */
  re?: string;
}

/** Server to client, event of a run: what a tool gave. Final, or partial with text to append to the call's display. */
export interface ObservationMessage {
  type: "observation";
  /** Names a tool call within its run. */
  call_id?: string;
  /** The result, any JSON value; a string when `partial` is true. */
  content: unknown;
  /** Whether the tool failed. */
  is_error?: boolean;
  /** Whether `content` is JSON text cut to fit. */
  truncated?: boolean;
  /** Whether this is a piece of the result, superseded by the final observation. */
  partial?: boolean;
  /** An identifier from a good random source. */
  run_id?: string;
  /** Place of an event in its run's log: 1, 2, 3 and so on. */
  seq?: number;
  /** The `seq` of the first of the merged events. */
  first_seq?: number;
  /** When the event was appended, RFC 3339, UTC. */
  ts?: string;
  /** The sub-agent that speaks. */
  agent?: string;
  /** The call that the sub-agent works for. */
  parent_call_id?: string;
}

/** RFC 9457 problem details with Runwire's members. */
export interface Problem {
  type?: string;
  /** What is wrong, in a few words. */
  title: string;
  status: number;
  /** What is wrong here, for a person. */
  detail?: string;
  instance?: string;
  /** A registered code, or a vendor's with a colon; a code that is not known reads as `internal`. */
  code: string;
  retryable: boolean;
  /** How long to wait before trying again, in milliseconds. */
  retry_after_ms?: number;
}

/** Server to client, control: the first message of every WebSocket connection. */
export interface ReadyMessage {
  type: "ready";
  /** `runwire`. */
  protocol: string;
  version: number;
  connection_id: string;
  /** The trace id of W3C Trace Context. */
  trace_id: string;
  /** The limits of a server: JSON numbers under their registered names. Their bounds stand in the limits registry. */
  limits: Limits;
  /** The names of the features that are served. */
  features: string[];
}

/** Server to client, event of a run: the answer so far is this instead. */
export interface ReplaceMessage {
  type: "replace";
  /** The answer text so far. */
  data: string;
  /** An identifier from a good random source. */
  run_id?: string;
  /** Place of an event in its run's log: 1, 2, 3 and so on. */
  seq?: number;
  /** When the event was appended, RFC 3339, UTC. */
  ts?: string;
}

/** Client to server: read a run's log from a cursor. */
export interface ResumeMessage {
  type: "resume";
  /** Names a message of the client; its direct answer repeats it as `re`. */
  id?: string;
  /** An identifier from a good random source. */
  run_id: string;
  /** The last `seq` a reader has; 0 for none. */
  after: number;
  /** Names one life of a run's log. */
  epoch?: string;
}

/** Server to client, control: the reader stands at the cursor that was asked for. */
export interface ResumedMessage {
  type: "resumed";
  /** An identifier from a good random source. */
  run_id: string;
  /** Names one life of a run's log. */
  epoch: string;
  /** The `seq` of the next event to come. */
  next_seq: number;
  /** The `seq` of the last event in the log; 0 when it has none. */
  last_seq?: number;
  /** The state of the run. */
  status: "queued" | "running" | "waiting" | "completed" | "incomplete" | "cancelled" | "failed";
  /** The trace id of W3C Trace Context. */
  trace_id: string;
  /** Names a message of the client; its direct answer repeats it as `re`. */
  re?: string;
}

/** The run was accepted. */
export interface RunAccepted {
  /** An identifier from a good random source. */
  run_id: string;
  /** Names one life of a run's log. */
  epoch: string;
  /** The state of the run. */
  status: "queued" | "running" | "waiting" | "completed" | "incomplete" | "cancelled" | "failed";
}

/** What the log of a run holds behind a cursor. */
export interface RunEvents {
  /** An identifier from a good random source. */
  run_id: string;
  /** Names one life of a run's log. */
  epoch: string;
  /** The state of the run. */
  status: "queued" | "running" | "waiting" | "completed" | "incomplete" | "cancelled" | "failed";
  /** The cursor for the next poll: epoch, dot and `seq`. */
  next: string;
  /** The events behind the cursor, in order; empty when there are none. */
  events: ServerMessage[];
}

/** The run as of now; the log says how it ends. */
export interface RunOutcome {
  /** An identifier from a good random source. */
  run_id: string;
  /** The state of the run. */
  status: "queued" | "running" | "waiting" | "completed" | "incomplete" | "cancelled" | "failed";
  /** The last `seq` a reader has; 0 for none. */
  seq: number;
}

/** A run as of `seq`, from one atomic read. */
export interface RunStatus {
  /** An identifier from a good random source. */
  run_id: string;
  /** Names one life of a run's log. */
  epoch: string;
  /** The state of the run. */
  status: "queued" | "running" | "waiting" | "completed" | "incomplete" | "cancelled" | "failed";
  /** The last `seq` of the log; 0 when it is empty. */
  seq: number;
  /** The answer text as of `seq`. */
  text: string;
}

/** Client to server: begin a run. A message without `type` that has a `prompt` is one too. */
export interface StartMessage {
  type?: "start";
  /** Names a message of the client; its direct answer repeats it as `re`. */
  id?: string;
  /** What the agent is to work on. */
  prompt: string;
  /** An identifier from a good random source. */
  run_id?: string;
  /** An identifier from a good random source. */
  session_id?: string;
  /** The application's own; attachments by reference. */
  inputs?: Record<string, unknown>;
  /** What becomes of the run when nobody reads it; `grace` when absent. */
  on_disconnect?: "grace" | "cancel" | "continue";
  /** A `traceparent` of W3C Trace Context. */
  traceparent?: string;
}

/** Server to client, control: the `start` was accepted. */
export interface StartedMessage {
  type: "started";
  /** An identifier from a good random source. */
  run_id: string;
  /** Names one life of a run's log. */
  epoch: string;
  /** An identifier from a good random source. */
  session_id: string;
  /** The trace id of W3C Trace Context. */
  trace_id: string;
  /** The state of the run. */
  status: "queued" | "running" | "waiting" | "completed" | "incomplete" | "cancelled" | "failed";
  /** Names a message of the client; its direct answer repeats it as `re`. */
  re?: string;
}

/** Server to client, event of a run: reasoning text to append. */
export interface ThinkingMessage {
  type: "thinking";
  /** The text to append. */
  content: string;
  /** An identifier from a good random source. */
  run_id?: string;
  /** Place of an event in its run's log: 1, 2, 3 and so on. */
  seq?: number;
  /** The `seq` of the first of the merged events. */
  first_seq?: number;
  /** When the event was appended, RFC 3339, UTC. */
  ts?: string;
  /** The sub-agent that speaks. */
  agent?: string;
  /** The call that the sub-agent works for. */
  parent_call_id?: string;
}

/** A single-use credential for one WebSocket handshake. */
export interface Ticket {
  ticket: string;
  expires_in_s: number;
}

/** Server to client, event of a run: text to append to the answer. */
export interface TokenMessage {
  type: "token";
  /** The text to append. */
  data: string;
  /** An identifier from a good random source. */
  run_id?: string;
  /** Place of an event in its run's log: 1, 2, 3 and so on. */
  seq?: number;
  /** The `seq` of the first of the merged events. */
  first_seq?: number;
  /** When the event was appended, RFC 3339, UTC. */
  ts?: string;
}

/** Server to client, event of a run: a tool is about to run. */
export interface ToolCallMessage {
  type: "tool_call";
  /** Names a tool call within its run. */
  call_id?: string;
  /** The tool's name. */
  name: string;
  /** The complete arguments, any JSON value. */
  input: unknown;
  /** An identifier from a good random source. */
  run_id?: string;
  /** Place of an event in its run's log: 1, 2, 3 and so on. */
  seq?: number;
  /** When the event was appended, RFC 3339, UTC. */
  ts?: string;
  /** The sub-agent that speaks. */
  agent?: string;
  /** The call that the sub-agent works for. */
  parent_call_id?: string;
}

/** Server to client, event of a run: a preview of a call's arguments, void unless its tool_call follows. */
export interface ToolDeltaMessage {
  type: "tool_delta";
  /** Names a tool call within its run. */
  call_id: string;
  /** The tool's name. */
  name: string;
  /** A piece of the arguments as text. */
  data: string;
  /** An identifier from a good random source. */
  run_id?: string;
  /** Place of an event in its run's log: 1, 2, 3 and so on. */
  seq?: number;
  /** The `seq` of the first of the merged events. */
  first_seq?: number;
  /** When the event was appended, RFC 3339, UTC. */
  ts?: string;
  /** The sub-agent that speaks. */
  agent?: string;
  /** The call that the sub-agent works for. */
  parent_call_id?: string;
}

export type ClientMessage =
  | StartMessage
  | CancelMessage
  | ResumeMessage
  | InputMessage
  | ClientHeartbeatMessage;

export type ServerMessage =
  | ReadyMessage
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
  | ErrorMessage;

export type RunEvent =
  | TokenMessage
  | ReplaceMessage
  | ThinkingMessage
  | ToolDeltaMessage
  | ToolCallMessage
  | ObservationMessage
  | InputRequestMessage
  | InputClosedMessage
  | DoneMessage
  | ErrorMessage;
