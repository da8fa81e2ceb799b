// A client of the Runwire protocol, version 1, for browsers. It tries the WebSocket, falls back to server-sent
// events, resumes after a drop, and stops for what a new connection cannot mend. Ids such as [RESUME-19] lead to
// the sentence of the specification that the line beside them obeys.

const OPEN_MS = 5000; // chapter 9, "Falling back"
const MOST_BACKOFF_MS = 30000;
const TERMINAL = new Set(["done", "error"]);

// What to do after a connection ended.
const AGAIN_NOW = "resume at once";
const AGAIN_LATER = "resume after a while";
const STOP = "stop";

/** One run, followed until its end. Fires `event` for every event of the log, in order and once, and `state`. */
export class Run extends EventTarget {
  /**
   * @param {string} prompt
   * @param {{discovery?: string, token?: string, transport?: "auto" | "websocket" | "sse"}} options
   *   `discovery` is the discovery URL; `token` a bearer token; `transport` forbids the other one.
   */
  constructor(prompt, { discovery = "/.well-known/runwire", token = "", transport = "auto" } = {}) {
    super();
    this.id = randomId(); // [RUN-11], [RUN-12]
    this.text = "";
    this.cursor = 0;
    this.epoch = null;
    this.ended = null;
    this.transport = transport === "sse" ? "sse" : "websocket";
    this.state = "connecting";
    this.wanted = transport;
    this.body = { prompt, run_id: this.id };
    this.token = token;
    this.discoveryUrl = new URL(discovery, location.href);
    this.about = null;
    this.accepted = false;
    this.failures = 0;
    this.answers = 0;
    this.pending = new Map(); // answers and cancels by their `id`, until the server has shown that it has them
    this.finished = this.follow();
  }

  /** Ask the server to stop; the log tells how the run ended [CANCEL-15]. */
  cancel() {
    this.tell({ type: "cancel" }, "cancel", {});
  }

  /** Answer an `input_request`. */
  answer(request_id, data) {
    this.tell({ type: "input", request_id, data }, "input", { request_id, data });
  }

  /** Break the connection off, as a network would; the run is resumed. */
  drop() {
    this.breakOff?.();
  }

  async follow() {
    while (this.ended === null) {
      let next = AGAIN_LATER;
      try {
        this.about ??= await this.discover();
        next = this.transport === "sse" ? await this.overHttp() : await this.overWebSocket();
      } catch (problem) {
        if (problem instanceof Refused) {
          this.show("refused", problem.message);
          if (!problem.retryable) return this;
          await pause(problem.retryAfterMs);
        } else {
          this.show("offline", problem.message);
        }
      }
      if (this.ended !== null || next === STOP) break;
      this.show("reconnecting", next);
      if (next === AGAIN_LATER) {
        const most = Math.min(MOST_BACKOFF_MS, 500 * 2 ** this.failures++);
        await pause(Math.random() * most); // [CLOSE-7] full jitter
      }
    }
    return this;
  }

  // --- discovery ---------------------------------------------------------------------------------------------

  async discover() {
    const response = await this.fetch(this.discoveryUrl); // [FALL-2] with the same credentials
    const about = await response.json();
    if (about.protocol !== "runwire" || !about.versions.includes(1)) {
      throw new Refused(`${this.discoveryUrl} is no Runwire server of version 1`); // [CONN-13]
    }
    const endpoints = {};
    for (const [name, reference] of Object.entries(about.endpoints)) {
      endpoints[name] = new URL(reference, response.url);
      if (endpoints[name].host !== this.discoveryUrl.host && this.token) {
        throw new Refused(`the endpoint ${name} lies elsewhere, where no token is sent`); // [CONN-5]
      }
    }
    endpoints.websocket.protocol = endpoints.websocket.protocol.replace("http", "ws");
    return { ...about, endpoints };
  }

  fetch(url, options = {}) {
    const headers = { ...options.headers };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (options.method === "POST") headers["Content-Type"] = "application/json"; // [HTTP-9]
    return fetch(url, { ...options, headers, cache: "no-store" }).then(async (response) => {
      if (response.ok) return response;
      const problem = await response.json().catch(() => ({}));
      const retryAfterMs = problem.retry_after_ms ?? 1000 * Number(response.headers.get("Retry-After") ?? 1);
      throw new Refused(problem.detail ?? problem.title ?? `status ${response.status}`, problem, retryAfterMs);
    });
  }

  // --- WebSocket ---------------------------------------------------------------------------------------------

  async overWebSocket() {
    const protocols = this.token ? ["runwire.v1", `bearer.${base64url(this.token)}`] : ["runwire.v1"];
    const socket = new WebSocket(this.about.endpoints.websocket, protocols);
    const ending = new Promise((resolve) => {
      socket.onclose = ({ code }) => resolve(code);
      this.breakOff = () => {
        socket.onmessage = null;
        socket.close();
        resolve(1006);
      };
    });
    let first = null;
    let refused = null;
    let silence;
    const opening = setTimeout(() => first ?? this.breakOff(), OPEN_MS);
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      this.wire("←", data);
      clearTimeout(silence); // [BEAT-11] three intervals without a word
      silence = setTimeout(this.breakOff, 3000 * this.about.limits.heartbeat_s);
      if (first === null) {
        first = message;
        clearTimeout(opening);
        if (message.type !== "ready" || message.protocol !== "runwire" || message.version !== 1) {
          refused = new Refused("this is no server that one can resume at"); // [CONN-13], [CONN-14]
          return socket.close(1000);
        }
        this.send = (out) => (this.wire("→", JSON.stringify(out)), socket.send(JSON.stringify(out)));
        this.send(this.accepted ? this.resumption() : { type: "start", id: "start", ...this.body });
        for (const out of this.pending.values()) this.send(out);
      }
      try {
        if (this.receive(message) === "gap") this.send(this.resumption()); // [RESUME-21]
      } catch (problem) {
        refused = problem;
        socket.close(1000);
      }
      if (this.ended !== null) socket.close(1000);
    };
    const code = await ending;
    clearTimeout(opening);
    clearTimeout(silence);
    this.send = this.breakOff = null;
    if (refused) throw refused;
    if (first === null) return this.websocketFailed();
    return verdictOf(code);
  }

  /** Chapter 9, step 2: find out why the WebSocket did not open, and use the fallback when only it is blocked. */
  async websocketFailed() {
    this.about = await this.discover();
    if (this.wanted === "auto" && this.about.features.includes("sse")) {
      this.transport = "sse";
      return AGAIN_NOW;
    }
    return AGAIN_LATER;
  }

  resumption() {
    return { type: "resume", id: "resume", run_id: this.id, after: this.cursor, epoch: this.epoch }; // [RESUME-22]
  }

  // --- HTTP --------------------------------------------------------------------------------------------------

  async overHttp() {
    const runs = this.about.endpoints.runs;
    if (!runs) throw new Refused("the server does not serve runs over HTTP");
    const leaving = new AbortController();
    this.breakOff = () => leaving.abort();
    const wanted = { headers: { Accept: "text/event-stream" }, signal: leaving.signal };
    try {
      const response = this.accepted
        ? await this.fetch(`${runs}/${this.id}/events`, {
            ...wanted,
            headers: { ...wanted.headers, "Last-Event-ID": `${this.epoch}.${this.cursor}` },
          })
        : await this.fetch(runs, { ...wanted, method: "POST", body: JSON.stringify(this.body) }); // [FALL-1]
      if (response.status === 204) return STOP; // [SSE-17]
      await this.readStream(response.body.getReader());
    } catch (problem) {
      if (problem instanceof Buffered) return this.poll();
      if (problem.code === "not_found" && this.accepted) return this.beginAnew();
      if (problem.name !== "AbortError") throw problem;
    } finally {
      this.breakOff = null;
    }
    return AGAIN_NOW; // [SSE-23]
  }

  async readStream(reader) {
    const decoder = new TextDecoder();
    let text = "";
    let silent = true;
    for (;;) {
      const patience = silent ? OPEN_MS : 3000 * this.about.limits.heartbeat_s;
      const piece = await Promise.race([reader.read(), pause(patience).then(() => null)]);
      if (piece === null) {
        reader.cancel();
        if (silent) throw new Buffered(); // [FALL-3]
        return; // [BEAT-11]
      }
      if (piece.done) return;
      silent = false;
      text += decoder.decode(piece.value, { stream: true });
      const blocks = text.split(/\r\n\r\n|\n\n|\r\r/);
      text = blocks.pop();
      for (const block of blocks) {
        const data = [...block.matchAll(/^data: ?(.*)$/gm)].map(([, line]) => line).join("\n");
        if (!data) continue;
        this.wire("←", data);
        if (this.receive(JSON.parse(data)) === "gap") return void reader.cancel(); // [RESUME-21]
      }
    }
  }

  /** Chapter 9, step 3: a proxy buffers the stream, so look at the run again and again [FALL-3]. */
  async poll() {
    this.accepted = true;
    while (this.ended === null) {
      const run = await (await this.fetch(`${this.about.endpoints.runs}/${this.id}`)).json();
      this.text = run.text;
      this.show("polling", run.status);
      if (!["queued", "running", "waiting"].includes(run.status)) this.end({ type: "done", ...run, data: run.status });
      else await pause(1000);
    }
    return STOP;
  }

  // --- both --------------------------------------------------------------------------------------------------

  /** Take a message; returns "gap" when an event is missing before it. Raises Refused. */
  receive(message) {
    this.pending.delete(message.re);
    if (message.type === "started" || message.type === "resumed") {
      this.accepted = true;
      this.epoch = message.epoch;
      this.show("following", message.status);
    } else if (message.type === "error" && message.seq === undefined) {
      this.refusal(message); // [EVENT-25]
    } else if (message.type === "notice") {
      this.show(message.code, message.data);
    } else if (message.run_id === this.id && message.seq !== undefined) {
      if (message.seq <= this.cursor) return "seen"; // [RESUME-20]
      if ((message.first_seq ?? message.seq) !== this.cursor + 1) return "gap"; // [RESUME-19]
      this.cursor = message.seq;
      this.take(message);
    }
    return "taken";
  }

  refusal(message) {
    if (message.re === "resume" && message.code === "not_found") return this.beginAnew(); // [RESUME-22]
    if (message.re !== "start" && message.re !== "resume") return this.show(message.code, message.data);
    throw new Refused(message.data, message, message.retry_after_ms);
  }

  take(event) {
    this.failures = 0;
    if (event.type === "token") this.text += event.data;
    if (event.type === "replace") this.text = event.data; // [EVENT-6]
    if (event.type === "input_closed") this.pending.delete(event.request_id);
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
    if (TERMINAL.has(event.type)) this.end(event);
  }

  end(terminal) {
    this.ended = terminal;
    this.show("ended", terminal.status ?? terminal.code ?? "");
  }

  /** The log is gone: start the same run again, from nothing. */
  beginAnew() {
    Object.assign(this, { accepted: false, cursor: 0, epoch: null, text: "" });
    this.dispatchEvent(new CustomEvent("anew"));
    this.send?.({ type: "start", id: "start", ...this.body });
    return AGAIN_NOW;
  }

  tell(message, endpoint, body) {
    const id = message.request_id ?? `${message.type}${++this.answers}`;
    if (this.transport === "sse") {
      const url = `${this.about.endpoints.runs}/${this.id}/${endpoint}`;
      this.wire("→", `POST …/${endpoint} ${JSON.stringify(body)}`);
      this.fetch(url, { method: "POST", body: JSON.stringify(body) }).catch((problem) =>
        this.show("refused", problem.message),
      );
      return;
    }
    const out = { ...message, id, run_id: this.id };
    this.pending.set(id, out);
    this.send?.(out);
  }

  show(state, detail = "") {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, detail } }));
  }

  wire(direction, text) {
    this.dispatchEvent(new CustomEvent("wire", { detail: { direction, text } }));
  }
}

/** The server said no. `retryable` decides whether to try again [ERR-6]. */
class Refused extends Error {
  constructor(message, { code = "", retryable = false } = {}, retryAfterMs = 1000) {
    super(message);
    Object.assign(this, { code, retryable, retryAfterMs });
  }
}

class Buffered extends Error {}

/** The hundreds digit is the verdict [CLOSE-4] to [CLOSE-8]. */
function verdictOf(code) {
  if (code >= 4000 && code < 4100) return AGAIN_NOW;
  if (code >= 4100 && code < 4200) throw new Refused("the credential has expired");
  if (code >= 4400 && code < 4500) throw new Refused(`the server closed with ${code}`);
  if ([1002, 1003, 1007, 1008, 1009].includes(code)) throw new Refused(`the server closed with ${code}`);
  return AGAIN_LATER;
}

function randomId() {
  return base64url(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
}

function base64url(text) {
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
