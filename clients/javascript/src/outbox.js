// Cancels and answers that the server has not shown to have.

import { RunwireError } from "./problem.js";
import { Retry } from "./retry.js";

export class Outbox {
  #waiting = new Set();

  /** `way()` returns what delivers a message now, or null while nothing does; `emit` tells of refusals. */
  constructor(way, emit) {
    Object.assign(this, { way, emit });
  }

  /** Say something of `type` until the server has it. */
  add(type, body) {
    this.#waiting.add({ type, body, id: null, sentBy: null, retry: new Retry() });
    this.deliver();
  }

  /** Hand over what was not handed over on this way. */
  deliver() {
    const way = this.way();
    for (const one of way ? this.#waiting : []) {
      if (one.sentBy === way) continue;
      one.sentBy = way;
      way(one);
    }
  }

  /** The server has what `which` picks. */
  answered(which) {
    for (const one of this.#waiting) if (which(one)) this.#waiting.delete(one);
  }

  /** What was sent as `id` was refused. */
  refused(id, problem) {
    for (const one of this.#waiting) if (one.id === id) this.undelivered(one, problem);
  }

  /** Say it again later, unless the server refused it for good [ERR-6]. */
  undelivered(one, problem) {
    if (problem instanceof RunwireError && !problem.retryable) {
      this.#waiting.delete(one);
      const { request_id } = one.body; // of an answer
      this.emit("notice", { code: problem.code, data: problem.message, ...(request_id && { request_id }) });
      return;
    }
    const again = () => {
      one.sentBy = null;
      this.deliver();
    };
    setTimeout(again, one.retry.delay(0, { leastMs: problem.retryAfterMs }));
  }

  clear() {
    this.#waiting.clear();
  }
}
