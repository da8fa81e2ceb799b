// A server as its discovery document describes it: where it is, what it serves, and who may ask it.

import { RunwireError, jsonObject, problemOf } from "./problem.js";

const ANSWER_MS = 15000; // for a request that is answered at once
const DEFAULT_HEARTBEAT_S = 15;

export class Server {
  #token = null;
  #known = false;
  #options;

  /** `url` is that of the server, of its discovery document, or of a WebSocket without one. */
  constructor(url, options) {
    this.#options = options;
    const here = globalThis.location?.href;
    if (!URL.canParse(url, here)) throw new TypeError(`discovery has to be an absolute URL, not ${url}`);
    this.url = new URL(url, here);
    this.isSocket = /^wss?:$/.test(this.url.protocol);
    if (this.url.pathname === "/" && !this.isSocket) this.url.pathname = "/.well-known/runwire";
    this.endpoints = null;
    this.features = [];
    this.limits = {};
    this.auth = [];
  }

  /** Whether nobody comes in as this client is, without a token. */
  get wantsToken() {
    return !this.#token && this.auth.length > 0 && !this.auth.some((way) => way === "none" || way === "cookie");
  }

  /** Three intervals without a word, in ms [BEAT-11]. */
  get silenceMs() {
    const { heartbeat_s } = this.limits;
    return 3000 * (heartbeat_s > 0 && heartbeat_s < 3600 ? heartbeat_s : DEFAULT_HEARTBEAT_S);
  }

  /** Fetch the discovery document, with the same credential as everything else [FALL-2]. */
  async discover() {
    if (this.isSocket) {
      this.endpoints = { websocket: this.url };
      return;
    }
    let base = this.url;
    const about = await this.json(this.url, { look: (response) => (base = response.url || base) });
    const { protocol, versions, endpoints, features, limits, auth } = about;
    if (protocol !== "runwire" || !versions?.includes(1) || !endpoints?.websocket) {
      throw new RunwireError(`${this.url} is no Runwire server of version 1`, { code: "unsupported" });
    }
    this.endpoints = Object.fromEntries(Object.entries(endpoints).map(([name, where]) => [name, new URL(where, base)]));
    this.endpoints.websocket.protocol = this.endpoints.websocket.protocol.replace("http", "ws");
    this.features = features ?? [];
    this.limits = limits ?? {};
    this.auth = auth ?? [];
    this.#known = true;
  }

  /** The URL of something that belongs to a run. */
  runUrl(id, what = "") {
    return new URL(`${this.endpoints.runs.href}/${id}${what}`);
  }

  /** JSON text to send, unless it is larger than the server takes. */
  checked(text) {
    const bytes = new TextEncoder().encode(text).length;
    const most = this.limits.max_message_bytes;
    if (!(bytes > most)) return text;
    throw new RunwireError(`${bytes} bytes are too many, the server takes ${most}`, { code: "payload_too_large" });
  }

  /** Send a request with the credential; raises RunwireError for an answer that is no 2xx. */
  async request(url, { method = "GET", body, headers = {}, signal }) {
    const own = { ...headers };
    const token = await this.credential(url);
    if (token) own.Authorization = `Bearer ${token}`;
    if (method === "POST") own["Content-Type"] = "application/json"; // [HTTP-9]
    const { fetch } = this.#options;
    const response = await fetch.call(globalThis, url, { method, body, headers: own, signal, cache: "no-store" });
    if (response.ok) return response;
    throw await problemOf(response, { isHere: url !== this.url || this.#known });
  }

  /** Send a request that is answered within `ms`, and return the JSON object of its answer. */
  async json(url, { ms = ANSWER_MS, signal, look, ...options } = {}) {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error(`${url} did not answer`)), ms);
    signal?.addEventListener("abort", () => late.abort(signal.reason), { signal: late.signal });
    try {
      const response = await this.request(url, { ...options, signal: late.signal });
      look?.(response);
      const value = jsonObject(await response.text());
      if (value === null) throw new RunwireError(`${url} did not answer with JSON`, { retryable: true });
      return value;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The token for a request to `url`; it is sent to the origin of the discovery URL only [CONN-5]. */
  async credential(url) {
    const { token } = this.#options;
    this.#token ??= (typeof token === "function" ? await token({ refused: null }) : token) || "";
    if (this.#token && originOf(url) !== originOf(this.url)) {
      throw new RunwireError(`${originOf(url)} is not where the token may go`, { code: "forbidden" });
    }
    return this.#token;
  }

  /** The URL of the WebSocket, and the token to offer beside the protocol's name: none where a ticket stands for it. */
  async entrance() {
    const url = new URL(this.endpoints.websocket);
    const token = await this.credential(url);
    const { tickets } = this.endpoints;
    if (!this.#options.tickets || !tickets) return { url, token };
    const { ticket } = await this.json(tickets, { method: "POST" });
    url.searchParams.set("ticket", String(ticket));
    return { url, token: "" };
  }

  /** Get a new credential [CLOSE-5]; false when there is none. */
  async renew() {
    if (typeof this.#options.token !== "function") return false;
    const fresh = await this.#options.token({ refused: this.#token });
    if (!fresh || fresh === this.#token) return false;
    this.#token = fresh;
    return true;
  }
}

function originOf(url) {
  return new URL(url).origin.replace(/^ws/, "http");
}
