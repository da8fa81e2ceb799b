// A client of the Runwire protocol, version 1, for browsers and Node. It tries the WebSocket, falls back to
// server-sent events, resumes after a loss, and stops for what a new connection cannot mend. Ids such as [RESUME-19]
// lead to the sentence of the specification that the line beside them obeys.

import { overHttp, post } from "./http.js";
import { RunLog } from "./log.js";
import { Outbox } from "./outbox.js";
import { RunwireError } from "./problem.js";
import { Retry } from "./retry.js";
import { Server } from "./server.js";
import { Blocked, overWebSocket } from "./websocket.js";

export { RunwireError };

/** One run, followed until its end. Fires `event` for every event of the log, in order and once, and `state`. */
export class Run extends EventTarget {
  #session;

  /**
   * Start `prompt`, or with `null` follow the run `runId` of somebody else. The README lists the options.
   * @param {string | null} prompt
   */
  constructor(prompt, options = {}) {
    super();
    this.state = "connecting";
    this.#session = new Session(prompt, options, (type, detail) => {
      if (type === "state") this.state = detail.state;
      this.dispatchEvent(new CustomEvent(type, { detail }));
    });
    this.finished = this.#session.follow().then(() => this);
  }

  get id() {
    return this.#session.log.id;
  }

  get text() {
    return this.#session.log.text;
  }

  get cursor() {
    return this.#session.log.cursor;
  }

  get ended() {
    return this.#session.log.ended;
  }

  get failure() {
    return this.#session.failure;
  }

  get transport() {
    return this.#session.transport;
  }

  /** Ask the server to stop; the log tells how the run ended [CANCEL-15]. */
  cancel() {
    this.#session.cancel();
  }

  /** Answer an `input_request`. */
  answer(request_id, data) {
    if (!this.#session.over) this.#session.outbox.add("input", { request_id, data });
  }

  /** Stop following; the run goes on as its policy says. */
  leave() {
    this.#session.leave();
  }

  /** Break the connection off, as a network would; the run is resumed. */
  drop() {
    this.#session.breakOff?.();
  }
}

/** What the transports share: a server, a log, and the decision what to try next. */
class Session {
  failure = null;
  /** Breaks the connection off; delivers a message over the WebSocket. Both are null without one. */
  breakOff = null;
  say = null;
  /** Whether the `start` may have reached the server. */
  started = false;
  #left = false;
  #wake = null;
  #ids = 0;
  #retry = new Retry();

  constructor(prompt, { discovery = "/", runId = randomId(), transport = "auto", ...options }, emit) {
    this.options = { fetch: globalThis.fetch, WebSocket: globalThis.WebSocket, ...options };
    this.wanted = transport;
    this.transport = this.#first;
    this.emit = emit;
    this.wire = (direction, text) => emit("wire", { direction, text });
    this.server = new Server(discovery, this.options);
    this.outbox = new Outbox(() => this.#way(), emit);
    this.log = new RunLog(runId, startOf(prompt, runId, options), emit, this.outbox);
  }

  get over() {
    return this.log.ended !== null || this.failure !== null || this.#left;
  }

  /** The transport that is tried first. */
  get #first() {
    return this.wanted === "sse" || (this.wanted === "auto" && !this.options.WebSocket) ? "sse" : "websocket";
  }

  newId() {
    return String(++this.#ids);
  }

  delay(told) {
    return this.#retry.delay(this.log.cursor, told);
  }

  async follow() {
    const online = () => this.offline && this.#wake?.();
    globalThis.addEventListener?.("online", online);
    while (!this.over) {
      const { atOnce, leastMs, offline = false, why = "" } = await this.#attempt();
      if (this.over) break;
      const waitMs = this.delay({ atOnce, leastMs });
      this.offline = offline;
      this.emit("state", { state: offline ? "offline" : "reconnecting", detail: why, waitMs });
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, waitMs);
      });
    }
    this.outbox.clear();
    globalThis.removeEventListener?.("online", online);
  }

  cancel() {
    if (this.over || this.log.cancelled) return;
    this.log.cancelled = true;
    if (this.started || this.log.isThere) this.outbox.add("cancel", {});
    else this.#stop(new RunwireError("stopped before it was started", { code: "cancelled" }));
  }

  leave() {
    this.#left = true;
    this.breakOff?.();
    this.#wake?.();
  }

  /** Follow the run over one connection; returns how to go on. */
  async #attempt() {
    try {
      if (this.server.endpoints === null) await this.server.discover();
      if (this.over) return {};
      if (this.transport === "sse") return await overHttp(this);
      return await overWebSocket(this);
    } catch (problem) {
      return this.#hindered(problem);
    } finally {
      this.#unplug();
    }
  }

  /** Decide by what went wrong how to go on. */
  async #hindered(problem) {
    if (this.over) return {};
    if (problem instanceof Blocked) return this.#fallBack(problem);
    if (!(problem instanceof RunwireError)) return { offline: true, why: problem.message };
    const { code, retryable, retryAfterMs, message } = problem;
    if (code === "unauthorized") {
      this.emit("state", { state: "unauthorized", detail: message });
      if (await this.server.renew().catch(() => false)) {
        if (this.wanted === "auto" && !this.log.accepted) this.transport = this.#first;
        return { why: message };
      }
    }
    if (!retryable) this.#stop(problem);
    return { leastMs: retryAfterMs, why: message };
  }

  /** Chapter 9, step 2: find out why the WebSocket did not open, and use the fallback when only it is blocked. */
  async #fallBack({ message }) {
    this.#unplug();
    this.server.endpoints = null;
    if (this.wanted === "auto" && !this.server.isSocket) {
      try {
        await this.server.discover();
      } catch (problem) {
        return this.#hindered(problem);
      }
      if (this.server.wantsToken) {
        return this.#hindered(new RunwireError("a token is wanted", { code: "unauthorized" }));
      }
      if (this.server.features.includes("sse")) {
        this.transport = "sse";
        this.emit("state", { state: "reconnecting", detail: message, waitMs: 0 });
        return this.#attempt();
      }
    }
    return { why: message };
  }

  #stop(problem) {
    this.failure = problem;
    this.emit("state", { state: "refused", detail: problem.message });
    this.breakOff?.();
    this.#wake?.();
  }

  #unplug() {
    this.say = this.breakOff = null;
    this.log.following = false;
  }

  /** What delivers a cancel or an answer now. */
  #way() {
    if (this.over) return null;
    if (this.transport === "websocket") return this.say;
    return this.log.accepted ? this.#post : null;
  }

  #post = (one) => post(this, one);
}

/** The members of a `start`, an absent one left out [MSG-21]; null for a viewer. */
function startOf(prompt, run_id, { sessionId, inputs, onDisconnect, traceparent }) {
  if (prompt === null) return null;
  const members = { prompt, run_id, session_id: sessionId, inputs, on_disconnect: onDisconnect, traceparent };
  return JSON.parse(JSON.stringify(members));
}

/** An identifier of 128 bits of a cryptographically strong source [RUN-11]. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
