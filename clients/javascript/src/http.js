// A run over plain HTTP: a stream of server-sent events, and polling where a proxy gathers it.

import { EventReader } from "./event_reader.js";
import { RunwireError, jsonObject } from "./problem.js";
import { Retry } from "./retry.js";

const OPEN_MS = 5000; // chapter 9, "Falling back"
const POLL_MS = 1000;
const PAGE_S = 20;
const UNFINISHED = new Set(["queued", "running", "waiting"]);

/** Follow the run of `session` until the response ends; returns how to go on. */
export async function overHttp(session) {
  if (!session.server.endpoints.runs) {
    throw new RunwireError("the server does not serve runs over HTTP", { code: "unsupported" });
  }
  const stream = new Stream(session);
  session.breakOff = () => stream.giveUp(new Error("dropped"));
  return stream.follow();
}

/** Send a cancel or an answer. */
export async function post(session, one) {
  const url = session.server.runUrl(session.log.id, `/${one.type}`);
  const body = JSON.stringify(one.body);
  session.wire("→", `POST ${url.pathname} ${body}`);
  try {
    await session.server.json(url, { method: "POST", body: session.server.checked(body) });
    session.outbox.answered((other) => other === one);
  } catch (problem) {
    session.outbox.undelivered(one, problem);
  }
}

class Stream {
  #leaving = new AbortController();
  #timer;
  #heard = false;
  #response = null;

  constructor(session) {
    this.session = session;
  }

  giveUp(reason) {
    this.#leaving.abort(reason);
  }

  async follow() {
    const { log } = this.session;
    const { signal } = this.#leaving;
    this.#timer = setTimeout(() => (log.whole ? this.#listen() : this.#poll()), OPEN_MS); // [FALL-3]
    try {
      this.#response = await this.#open(signal);
      return await this.#read();
    } catch (raised) {
      const problem = signal.aborted ? signal.reason : raised;
      if (problem.code === "not_found" && log.accepted) log.lost();
      else if (problem instanceof RunwireError || this.#response === null) throw problem;
      return { atOnce: true, why: problem.message }; // [SSE-23]
    } finally {
      clearTimeout(this.#timer);
      this.giveUp();
    }
  }

  #open(signal) {
    const { log, server, wire } = this.session;
    const headers = { Accept: "text/event-stream" };
    if (log.isThere) {
      const url = server.runUrl(log.id, "/events");
      if (log.epoch !== null) headers["Last-Event-ID"] = `${log.epoch}.${log.cursor}`; // [RESUME-22]
      wire("→", `GET ${url.pathname} ${headers["Last-Event-ID"] ?? ""}`);
      return server.request(url, { headers, signal });
    }
    const body = server.checked(JSON.stringify(log.body));
    wire("→", `POST ${server.endpoints.runs.pathname} ${body}`);
    this.session.started = true;
    return server.request(server.endpoints.runs, { method: "POST", body, headers, signal }); // [FALL-1]
  }

  async #read() {
    const { log, wire } = this.session;
    const { status, headers, body } = this.#response;
    if (status === 202) {
      log.accept(jsonObject(await this.#response.text()) ?? {});
      return { atOnce: true };
    }
    if (status === 204) throw new RunwireError("the run has ended, and its end was not shown"); // [SSE-17]
    if (!/^text\/event-stream\b/i.test(headers.get("Content-Type") ?? "")) {
      throw new RunwireError("the answer is no event stream", { retryable: true });
    }
    const events = new EventReader();
    for (const reader = body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return { atOnce: true, why: "the stream ended" }; // [SSE-23]
      this.#heard = true;
      this.#listen();
      for (const { data } of events.feed(value)) {
        wire("←", data);
        const next = log.read(data);
        if (this.session.over) return {};
        if (next === "again") return { atOnce: true, why: "an event is missing" }; // [RESUME-21]
      }
    }
  }

  /** Give a stream up that is silent for too long [BEAT-11]. */
  #listen() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.giveUp(new Error("the stream is silent")), this.session.server.silenceMs);
  }

  /** Chapter 9, step 3: no byte came, so a proxy gathers. Look at the run again and again until one comes [FALL-3]. */
  async #poll() {
    const { log, server } = this.session;
    const { signal } = this.#leaving;
    const look = server.features.includes("poll") ? () => this.#readPage(signal) : () => this.#readStatus(signal);
    const retry = new Retry();
    for (const begun = Date.now(); !this.#heard && !signal.aborted; ) {
      const [asked, before] = [Date.now(), log.cursor];
      let waitMs = POLL_MS;
      try {
        await look();
        if (log.cursor > before) waitMs = 0;
        waitMs -= Date.now() - asked; // a page that is empty was waited for
        if (log.whole || this.session.over) this.giveUp(new RunwireError("the run has ended", { retryable: true }));
      } catch (problem) {
        const underWay = problem.code === "not_found" && !log.accepted && Date.now() - begun < server.silenceMs;
        if (!underWay && !problem.retryable) this.giveUp(problem);
        waitMs += retry.delay(0, { leastMs: problem.retryAfterMs });
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  /** Read on in the log, where the server lets one poll it. */
  async #readPage(signal) {
    const { log, server } = this.session;
    const waitS = Math.min(PAGE_S, server.silenceMs / 3000);
    const after = log.epoch === null ? log.cursor : `${log.epoch}.${log.cursor}`;
    const url = server.runUrl(log.id, `/events?after=${after}&wait=${waitS}`);
    const page = await server.json(url, { headers: { Accept: "application/json" }, signal, ms: 1000 * waitS + 15000 });
    log.accept(page, "polling");
    for (const event of page.events ?? []) if (log.receive(event) === "again" || this.session.over) break;
  }

  /** Read the text of the run; once it has ended its whole log is there, in a stream that ends. */
  async #readStatus(signal) {
    const { log, server } = this.session;
    const run = await server.json(server.runUrl(log.id), { signal });
    log.polled(run.seq, run.text);
    log.accept(run, "polling");
    log.whole = !UNFINISHED.has(run.status);
  }
}
