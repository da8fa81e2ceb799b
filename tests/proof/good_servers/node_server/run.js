// One run: its log, the one end, who reads it, and what becomes of it when nobody does.

import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { clean, fitted, Halves } from "./events.js";
import { limits, OVERRIDABLE, RETRYABLE } from "./limits.js";
import { same } from "./messages.js";

/** Bytes of a log that are kept free for its terminal. */
const RESERVE = 2048;

/** An append to a run that has its terminal: the agent has to stop. */
export class Ended extends Error {}

/** The agent failed, or did what no agent may do. */
export class AgentError extends Error {
  constructor(text, code = "agent_error", retryable = undefined) {
    super(text);
    this.code = code;
    this.retryable = retryable;
  }
}

export const newId = () => randomBytes(16).toString("base64url");

export class Run {
  log = [];
  status = "queued";
  epoch = randomBytes(8).toString("base64url");
  stop = new AbortController();
  cancelledAt = undefined;
  stepsAfterCancel = 0;
  neverBegan = false;
  #bytes = 0;
  #text = [];
  #calls = new Map();
  #halves = new Halves();
  #readers = new Set();
  #grace = undefined;
  #stopped = deferred();

  constructor(start, traceId, onEnd) {
    this.start = start;
    this.id = start.run_id ?? newId();
    this.sessionId = start.session_id ?? newId();
    this.traceId = traceId;
    this.onEnd = onEnd;
  }

  get finished() {
    return this.status !== "queued" && this.status !== "running";
  }

  /** What this run costs, of its log and of what was asked. */
  get keptBytes() {
    return this.#bytes + Buffer.byteLength(this.start.prompt);
  }

  /** The answer text so far. */
  get text() {
    return this.#text.join("");
  }

  /** A promise of the moment at which the agent has stopped. */
  get stopped() {
    return this.#stopped.promise;
  }

  /** Says whether another `start` asks for the same run [RUN-19]. */
  hasBody(start) {
    const body = ({ prompt, session_id, inputs = {}, on_disconnect = "grace" }) => [
      prompt, session_id ?? "", inputs, on_disconnect,
    ];
    return same(body(this.start), body(start));
  }

  /** Adds an event of the agent; throws Ended when there is nothing to add to any more. */
  append(event) {
    for (const whole of this.#halves.join(event)) this.#add(clean(whole));
  }

  #add(event) {
    const call = event.call_id;
    if (event.type === "tool_call") {
      if (this.#calls.has(call)) throw new AgentError("a call is made once");
      this.#calls.set(call, "open");
    } else if (event.type === "observation") {
      if (this.#calls.get(call) !== "open") throw new AgentError("an observation of a call that is not open");
      if (!event.partial) this.#calls.set(call, "closed");
    }
    const pieces = [...fitted(event)];
    if (pieces.length === 0 && !(event.type === "token" && event.data === "")) {
      throw new AgentError("an event is too large, and may not be cut", "payload_too_large");
    }
    for (const piece of pieces) this.#write(piece);
  }

  #write(event) {
    if (this.finished) throw new Ended();
    const line = this.#line(event);
    if (this.#bytes + Buffer.byteLength(line) > limits.log_bytes - RESERVE) {
      this.end("incomplete", { type: "done", data: "the log is full", reason: "length" });
      throw new Ended();
    }
    if (event.type === "replace") this.#text = [];
    if (event.type === "replace" || event.type === "token") this.#text.push(event.data);
    this.#commit(line);
  }

  #line({ type, ...rest }) {
    return JSON.stringify({ type, run_id: this.id, seq: this.log.length + 1, ...rest });
  }

  #commit(line) {
    this.log.push(line);
    this.#bytes += Buffer.byteLength(line);
    for (const wake of this.#readers) wake();
  }

  /** Appends the terminal, unless another was appended first, and stops the agent [RUN-4]. */
  end(status, terminal) {
    if (this.finished) return;
    const wasQueued = this.status === "queued";
    this.status = status;
    const state = terminal.type === "done" ? { status } : {};
    this.#commit(this.#line({ ...terminal, ...state, trace_id: this.traceId }));
    clearTimeout(this.#grace);
    this.stop.abort();
    this.neverBegan = wasQueued;
    this.onEnd(this);
  }

  /** Ends the run of an agent that came to its end [EVENT-13]. */
  complete() {
    for (const rest of this.#halves.rest()) this.#add(clean(rest));
    if ([...this.#calls.values()].includes("open")) throw new AgentError("a call has no observation");
    this.end("completed", { type: "done", data: "generation completed" });
  }

  /** Ends the run as cancelled at once: what the agent still says is refused at the log [CANCEL-4]. */
  cancel(reason) {
    if (this.finished) return;
    this.cancelledAt = performance.now();
    this.end("cancelled", { type: "done", data: "cancelled", reason });
  }

  /** Ends the run because its time is over. */
  expire() {
    if (!this.finished) this.cancelledAt = performance.now();
    this.fail("timeout", "the run took too long");
  }

  /** Ends the run with an `error`. */
  fail(code, text, retryable) {
    const known = !code.includes(":");
    const again = retryable === undefined || (known && !OVERRIDABLE.has(code)) ? RETRYABLE.has(code) : retryable;
    this.end("failed", { type: "error", data: text.toWellFormed().slice(0, 200), code, retryable: again });
  }

  /** Notes when the agent stopped, for `report`. */
  agentStopped() {
    this.#stopped.resolve(performance.now());
  }

  /** Adds a reader, which ends the time that the run may be without one [RESUME-6]. */
  attach(wake) {
    this.#readers.add(wake);
    clearTimeout(this.#grace);
  }

  /** Removes a reader; applies the run's policy when it was the last. */
  detach(wake, byServer) {
    this.#readers.delete(wake);
    const policy = this.start.on_disconnect ?? "grace";
    if (this.#readers.size > 0 || this.finished || policy === "continue") return;
    if (policy === "cancel" && !byServer) this.cancel("disconnected");
    else this.#grace = setTimeout(() => this.cancel("disconnected"), limits.detach_grace_s * 1000);
  }

  /** Returns what `started` and `resumed` say about the run. */
  started() {
    const { id, epoch, sessionId, traceId, status } = this;
    return { type: "started", run_id: id, epoch, session_id: sessionId, trace_id: traceId, status };
  }

  resumed(after) {
    const { id, epoch, traceId, status, log } = this;
    return { type: "resumed", run_id: id, epoch, next_seq: after + 1, last_seq: log.length, status, trace_id: traceId };
  }
}

function deferred() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
