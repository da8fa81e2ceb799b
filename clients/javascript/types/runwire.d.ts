// The types of the client. Events are those of the schemas; a later version may send others.

import type { DoneMessage, ErrorMessage, RunEvent } from "./messages.js";

export type { RunEvent };

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

/** The terminals of a run. */
export type Done = DoneMessage;
export type Failed = ErrorMessage;

export interface RunOptions {
  /** The URL of the server, of its discovery document, or of its WebSocket (then without fallback). In a page: its own origin. */
  discovery?: string | URL;
  /** A bearer token, or a function that gives one; it is called again with the one that was refused. "" means none. */
  token?: string | ((asked: { refused: string | null }) => string | Promise<string>);
  /** Whether the WebSocket is opened with a single-use ticket in place of the token, where the server issues them. */
  tickets?: boolean;
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
