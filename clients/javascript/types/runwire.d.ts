// The types of the client. Events are those of the specification, chapter 5; a later version may send others.

export type RunStatus = "queued" | "running" | "waiting" | "completed" | "incomplete" | "cancelled" | "failed";

export type RunState =
  | "connecting"
  | "following"
  | "polling"
  | "reconnecting"
  | "offline"
  | "unauthorized"
  | "refused"
  | "ended";

/** What every event of a run carries. `first_seq` stands on a merged one. */
export interface EventBase {
  run_id: string;
  seq: number;
  first_seq?: number;
  ts?: string;
  agent?: string;
  parent_call_id?: string;
}

export interface Usage {
  input_tokens?: number;
  output_tokens?: number;
}

export type Done = EventBase & {
  type: "done";
  data: string;
  status?: "completed" | "incomplete" | "cancelled";
  reason?: string;
  usage?: Usage;
  trace_id?: string;
};

export type Failed = EventBase & {
  type: "error";
  data: string;
  code?: string;
  retryable?: boolean;
  retry_after_ms?: number;
  trace_id?: string;
};

export type RunEvent =
  | (EventBase & { type: "token" | "replace"; data: string })
  | (EventBase & { type: "thinking"; content: string })
  | (EventBase & { type: "tool_delta"; call_id: string; name: string; data: string })
  | (EventBase & { type: "tool_call"; call_id: string; name: string; input: unknown })
  | (EventBase & {
      type: "observation";
      call_id: string;
      content: unknown;
      is_error?: boolean;
      truncated?: boolean;
      partial?: boolean;
    })
  | (EventBase & {
      type: "input_request";
      request_id: string;
      kind: "approval" | "question" | "form";
      data?: string;
      call_id?: string;
      schema?: object;
      expires_at: string;
    })
  | (EventBase & { type: "input_closed"; request_id: string; outcome: "answered" | "expired" | "withdrawn" })
  | Done
  | Failed;

export interface RunOptions {
  /** The URL of the server, of its discovery document, or of its WebSocket (then without fallback). In a page: its own origin. */
  discovery?: string | URL;
  /** A bearer token, or a function that gives one; it is called again with the one that was refused. "" means none. */
  token?: string | ((asked: { refused: string | null }) => string | Promise<string>);
  /** Forbids the other transport. */
  transport?: "auto" | "websocket" | "sse";
  /** The run: a new one of its own choosing by default. */
  runId?: string;
  sessionId?: string;
  inputs?: Record<string, unknown>;
  onDisconnect?: "grace" | "cancel" | "continue";
  traceparent?: string;
  fetch?: typeof fetch;
  WebSocket?: typeof WebSocket;
}

/** What went wrong. `retryable` tells whether a new attempt may help; `status` is that of HTTP, or 0. */
export class RunwireError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number;
  readonly status: number;
}

export interface RunEventMap {
  /** An event of the log: each one, in order, once. */
  event: CustomEvent<RunEvent>;
  /** The connection changed; `waitMs` is the time until the next attempt. */
  state: CustomEvent<{ state: RunState; detail?: string; waitMs?: number }>;
  /** Something that ends nothing, such as an answer that was refused: then `request_id` names its request. */
  notice: CustomEvent<{ code: string; data: string; request_id?: string }>;
  /** The log is gone and begins anew: forget what was shown. */
  anew: CustomEvent<undefined>;
  /** What goes over the wire, without credentials. */
  wire: CustomEvent<{ direction: "→" | "←"; text: string }>;
}

/** One run, followed until its end. */
export class Run extends EventTarget {
  /** Start `prompt`, or with `null` follow the run `runId` of somebody else. */
  constructor(prompt: string | null, options?: RunOptions);
  readonly id: string;
  /** The answer text as of now. */
  readonly text: string;
  /** The `seq` of the last event. */
  readonly cursor: number;
  readonly state: RunState;
  readonly transport: "websocket" | "sse";
  /** The terminal, once it came. */
  readonly ended: Done | Failed | null;
  /** Why the run is not followed any more without a terminal. */
  readonly failure: RunwireError | null;
  /** Resolves when the run has ended, failed to be followed, or was left. It never rejects. */
  readonly finished: Promise<Run>;
  cancel(): void;
  answer(requestId: string, data: unknown): void;
  leave(): void;
  drop(): void;
  addEventListener<K extends keyof RunEventMap>(
    type: K,
    listener: (event: RunEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof RunEventMap>(
    type: K,
    listener: (event: RunEventMap[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}
