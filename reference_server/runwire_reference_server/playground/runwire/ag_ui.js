// A `fetch` for clients of AG-UI: `new HttpAgent({ url, fetch: runwireFetch })`. Their own cannot come back to a stream
// that broke, and stop nothing. In front of a server that carries AG-UI on Runwire this one does both.

import { EventReader } from "./event_reader.js";
import { RunwireError, jsonObject, problemOf } from "./problem.js";
import { Retry } from "./retry.js";

const SILENCE_MS = 45000; // three heartbeats of 15 s
const MOST_STOPS = 8; // over about a minute
const TERMINAL = new Set(["RUN_FINISHED", "RUN_ERROR"]);

/**
 * A `fetch` whose event streams return after a loss. It sends the same request again, which by its `runId` joins the
 * run, with the `Last-Event-ID` of the last event that arrived; an event without an id makes the stream an ordinary
 * one, as the run could not be joined. An aborted signal stops the run: `POST` to the `cancel` beside the `Location` of
 * the answer, or to `<url>/<runId>/cancel`.
 * @param {{fetch?: typeof fetch, silenceMs?: number}} options `silenceMs` is the longest time without a byte.
 */
export function createRunwireFetch({ fetch = globalThis.fetch, silenceMs = SILENCE_MS } = {}) {
  return async (input, init = {}) => {
    const run = jsonObject(init.body);
    const wanted = new Headers(init.headers).get("Accept") ?? "";
    if (init.method !== "POST" || typeof run?.runId !== "string" || !wanted.includes("text/event-stream")) {
      return fetch.call(globalThis, input, init);
    }
    return new Returning(fetch, new URL(input, globalThis.location?.href), init, run.runId, silenceMs).open();
  };
}

export const runwireFetch = createRunwireFetch();

class Returning {
  #retry = new Retry();
  #lastId = null;
  #events = 0;
  #canReturn = true;
  #ended = false;
  #left = new AbortController();

  constructor(fetch, url, init, runId, silenceMs) {
    Object.assign(this, { fetch: fetch.bind(globalThis), url, init, silenceMs });
    this.cancelUrl = new URL(`${url.href.split("?")[0]}/${encodeURIComponent(runId)}/cancel`);
    init.signal?.addEventListener("abort", () => this.#stop());
    if (init.signal?.aborted) this.#left.abort(init.signal.reason);
  }

  /** Return the answer: the first good one, whose body goes on over all that follow. */
  async open() {
    let first;
    while ((first = await this.#attempt()) === null);
    if (!isStream(first)) return first;
    const body = new ReadableStream({
      start: (out) => void this.#pump(first, out),
      cancel: () => this.#left.abort(),
    });
    const headers = new Headers(first.headers);
    for (const name of ["Content-Length", "Content-Encoding"]) headers.delete(name);
    return new Response(body, { status: first.status, headers });
  }

  /** Ask once; null when it has to be tried again, after a wait. A refusal for good is the answer. */
  async #attempt() {
    const headers = new Headers(this.init.headers);
    if (this.#lastId !== null) headers.set("Last-Event-ID", this.#lastId);
    const left = this.#left.signal;
    left.throwIfAborted();
    try {
      const response = await this.fetch(this.url, { ...this.init, headers, signal: left });
      if (isStream(response)) return response;
      const problem = response.ok
        ? new RunwireError("the answer is no event stream", { retryable: true })
        : await problemOf(response.clone());
      if (!problem.retryable) return response;
      void response.body?.cancel();
      await this.#wait({ leastMs: problem.retryAfterMs });
    } catch (problem) {
      left.throwIfAborted();
      await this.#wait({});
    }
    return null;
  }

  /** Hand on the events of one answer after the other, until the run has ended. */
  async #pump(first, out) {
    try {
      for (let response = first; !this.#ended; ) {
        if (response !== null) await this.#read(response, out);
        if (this.#ended || !this.#canReturn) break;
        if (response !== null) await this.#wait({ atOnce: true });
        response = await this.#attempt();
        if (response !== null && !isStream(response)) throw await problemOf(response);
      }
      out.close();
    } catch (problem) {
      out.error(this.#left.signal.aborted ? this.#left.signal.reason : problem);
    }
  }

  /** Hand on the events of one answer, each when it is whole. */
  async #read(response, out) {
    const where = response.headers.get("Location");
    if (where) this.#stopAt(new URL(where, this.url));
    const events = new EventReader();
    const reader = response.body.getReader();
    let timer;
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(() => void reader.cancel(), this.silenceMs);
    };
    try {
      for (listen(); !this.#ended; listen()) {
        const { done, value } = await reader.read();
        if (done) break;
        for (const event of events.feed(value)) this.#take(event, out);
      }
    } catch (problem) {
      if (this.#left.signal.aborted || !this.#canReturn) throw problem;
    } finally {
      clearTimeout(timer);
      void reader.cancel().catch(() => {});
    }
  }

  #take({ data, id }, out) {
    if (id !== null && id === this.#lastId) return;
    if (id === null) this.#canReturn = false;
    this.#lastId = id ?? this.#lastId;
    this.#events += 1;
    this.#ended = TERMINAL.has(jsonObject(data)?.type);
    const lines = data.split("\n").map((line) => `data: ${line}\n`);
    out.enqueue(new TextEncoder().encode(`${id === null ? "" : `id: ${id}\n`}${lines.join("")}\n`));
  }

  /** Where the run is stopped; only at the origin that was asked, as the credential goes with it. */
  #stopAt(events) {
    if (events.origin === this.url.origin) this.cancelUrl = new URL(events.href.replace(/\/events(\?.*)?$/, "/cancel"));
  }

  /** Leave, and have the run stopped: a request that was closed is only a lost line. */
  async #stop() {
    if (this.#ended || this.#left.signal.aborted) return;
    this.#left.abort(this.init.signal.reason);
    const headers = new Headers(this.init.headers);
    headers.set("Accept", "application/json");
    const retry = new Retry();
    for (let tries = 0; tries < MOST_STOPS; tries++) {
      let leastMs = 0;
      try {
        const asked = { method: "POST", headers, body: "{}", keepalive: true, credentials: this.init.credentials };
        const response = await this.fetch(this.cancelUrl, asked);
        if (response.ok) return;
        const problem = await problemOf(response);
        if (!problem.retryable) return;
        leastMs = problem.retryAfterMs;
      } catch {
        // The line is lost; the run has to be stopped all the same.
      }
      await new Promise((resolve) => setTimeout(resolve, retry.delay(0, { leastMs })));
    }
  }

  async #wait(told) {
    const { signal } = this.#left;
    await new Promise((resolve) => {
      signal.addEventListener("abort", resolve);
      setTimeout(resolve, this.#retry.delay(this.#events, told));
    });
    signal.throwIfAborted();
  }
}

function isStream(response) {
  return response.ok && /^text\/event-stream\b/i.test(response.headers.get("Content-Type") ?? "");
}
