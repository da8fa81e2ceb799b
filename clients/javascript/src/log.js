// The log of a run as far as it was read. It decides without I/O what a message means.

import { RunwireError, jsonObject, refusalOf } from "./problem.js";

const CONTROL = new Set(["ready", "heartbeat"]);
const TERMINAL = new Set(["done", "error"]);

export class RunLog {
  /** The `seq` of the last event that was read, and the life of the log that it belongs to. */
  cursor = 0;
  epoch = null;
  /** The terminal, once it was read. */
  ended = null;
  /** Whether the server has the run; whether it said where the log begins; whether it numbers nothing [CONN-14]. */
  accepted = false;
  following = false;
  basic = false;
  /** Whether the user stopped the run; whether the server said that it has ended, so that its whole log is there. */
  cancelled = false;
  whole = false;
  /** The `id` of the `start` or `resume` that is not answered yet. */
  asked = null;
  #answer = "";
  #polled = null;

  /** `body` is that of the `start`, null for a viewer; `emit(type, detail)` tells of events. */
  constructor(id, body, emit, outbox) {
    Object.assign(this, { id, body, emit, outbox });
  }

  /** The answer text as of now [EVENT-6]. */
  get text() {
    return this.#polled?.seq > this.cursor ? this.#polled.text : this.#answer;
  }

  /** Whether the log is to be read on, and not to be started. */
  get isThere() {
    return this.accepted || this.body === null;
  }

  /** Take a text; returns "again" when the log has to be asked for again. Raises RunwireError for a refusal. */
  read(text) {
    return this.receive(jsonObject(text) ?? {});
  }

  /** Take a message, as `read`. */
  receive(message) {
    const { type, run_id, seq } = message;
    if (typeof type !== "string" || CONTROL.has(type)) return "taken"; // [BEAT-10] and what is no message says nothing
    if (type === "started" || type === "resumed") return run_id === this.id ? this.accept(message) : "taken";
    if (type === "notice") return this.#note(message);
    if (this.basic) return this.#take(message);
    if (type === "error" && seq === undefined) return this.#refused(message); // [EVENT-25]
    if (run_id !== this.id || !Number.isSafeInteger(seq) || !this.following) return "taken";
    if (seq <= this.cursor) return "taken"; // [RESUME-20]
    if ((message.first_seq ?? seq) !== this.cursor + 1) return "again"; // [RESUME-19]
    this.cursor = seq; // [MSG-26] of an unknown type, too
    return this.#take(message);
  }

  /** The server has the run, in this life of its log. */
  accept({ epoch = null, status }, state = "following") {
    if (this.accepted && this.epoch !== null && epoch !== this.epoch) return this.lost();
    this.accepted = this.following = true;
    this.epoch = epoch;
    this.emit("state", { state, detail: status });
    this.outbox.deliver();
    return "taken";
  }

  /** The text as of `seq`, where the events could not be read. */
  polled(seq, text) {
    this.#polled = { seq, text };
  }

  /** The log is gone: begin the same run anew, from nothing [RESUME-22], unless that is not wanted any more. */
  lost() {
    if (this.body === null || this.cancelled) throw new RunwireError("the run is gone", { code: "not_found" });
    this.accepted = this.following = this.whole = false;
    [this.cursor, this.epoch, this.#answer, this.#polled] = [0, null, "", null];
    this.emit("anew");
    return "again";
  }

  #refused(message) {
    const { re, code } = message;
    if (re === this.asked || (re === undefined && !this.following)) {
      if (code === "not_found" && this.accepted) return this.lost();
      throw refusalOf(message);
    }
    this.outbox.refused(re, refusalOf(message));
    return "taken";
  }

  #note({ code, data, re }) {
    this.outbox.answered((one) => one.id === re);
    this.emit("notice", { code, data });
    return "taken";
  }

  #take(event) {
    if (event.type === "token") this.#answer += event.data ?? "";
    if (event.type === "replace") this.#answer = event.data ?? "";
    if (event.type === "input_closed") this.outbox.answered(({ body }) => body.request_id === event.request_id);
    if (TERMINAL.has(event.type)) this.ended = event;
    this.emit("event", event);
    if (this.ended) this.emit("state", { state: "ended", detail: event.status ?? event.code ?? "" });
    return "taken";
  }
}
