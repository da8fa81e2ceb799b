// A run over a WebSocket.

import { RunwireError, jsonObject } from "./problem.js";

const OPEN_MS = 5000; // chapter 9, "Falling back"
const NOT_AGAIN = new Set([1002, 1003, 1007, 1008, 1009]);

/** Raised when no WebSocket could be had; a fallback may be. */
export class Blocked extends RunwireError {}

/** Follow the run of `session` until the connection ends; returns how to go on. */
export async function overWebSocket(session) {
  const { server, log } = session;
  if (!session.options.WebSocket) {
    throw new RunwireError("there is no WebSocket here; give one as an option", { code: "unsupported" });
  }
  const entrance = await server.entrance();
  if (session.over) return {};
  const connection = new Connection(session);
  const code = await connection.follow(entrance);
  if (connection.problem) throw connection.problem;
  if (session.over) return {};
  if (log.basic) throw new RunwireError("the connection broke, and this server cannot resume", { code: "unsupported" });
  if (!connection.greeted && (code < 4000 || code >= 4500)) throw new Blocked("the WebSocket is blocked");
  return verdict(code, session, connection.begun);
}

class Connection {
  greeted = false;
  problem = null;
  #socket = null;
  #silence;
  #again;
  #unanswered = false; // whoever does not say where the log begins is as dead as whoever is silent

  constructor(session) {
    this.session = session;
    this.begun = session.log.cursor;
  }

  /** Follow the run; returns the close code, 1006 for a connection that was given up. */
  async follow({ url, token }) {
    const { session } = this;
    const protocols = ["runwire.v1", ...(token ? [`bearer.${base64url(token)}`] : [])];
    try {
      this.#socket = new session.options.WebSocket(url, protocols);
    } catch {
      return 1006; // a page of https may not open ws
    }
    const code = await new Promise((resolve) => {
      this.#socket.onclose = (event) => resolve(event.code);
      this.#socket.onerror = () => resolve(1006); // Node 20 fires no close where the handshake was refused
      this.giveUp = () => resolve(1006);
      session.breakOff = this.giveUp;
      this.#listen(OPEN_MS);
      this.#socket.onopen = () => this.#opened();
      this.#socket.onmessage = ({ data }) => {
        this.#heard(data);
        if (this.problem || session.over) resolve(1000);
      };
    });
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = this.#socket.onerror = null;
    this.#socket.close(1000);
    clearTimeout(this.#silence);
    clearTimeout(this.#again);
    return code;
  }

  #listen(ms) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(this.giveUp, ms);
  }

  #opened() {
    if (!this.session.server.isSocket) return; // `ready` shows that it is no proxy that let us in
    this.#listen(this.session.server.silenceMs); // a basic server sends none, and may think before it speaks
    if (!this.session.log.isThere) this.#ask(); // [CONN-20]
  }

  #heard(data) {
    const { log, server } = this.session;
    this.session.wire("←", data);
    try {
      if (!this.greeted) this.#greet(jsonObject(data));
      const next = log.read(data);
      if (log.following || log.basic) this.#unanswered = false;
      if (next === "again") {
        log.following = false; // [RESUME-16] what still comes is from the old position
        this.#again = setTimeout(() => this.#ask(), this.session.delay({ atOnce: true })); // [RESUME-21]
      }
      if (!this.#unanswered) this.#listen(server.silenceMs);
    } catch (raised) {
      this.problem = raised;
    }
  }

  /** Take the first message, and ask for the log if that was not done. */
  #greet(first) {
    if (first === null) return;
    const { log, server } = this.session;
    const { type, protocol, version, limits } = first;
    this.greeted = true;
    if (type !== "ready") {
      if (log.isThere) throw new RunwireError("this server cannot resume", { code: "unsupported" });
      log.basic = true; // [CONN-14]
    } else if (protocol !== "runwire" || version !== 1) {
      throw new RunwireError(`the server speaks ${protocol} ${version}`, { code: "unsupported" }); // [CONN-13]
    } else if (server.isSocket) {
      server.limits = limits ?? {};
    }
    if (this.session.say === null) this.#ask();
  }

  /** Ask for the log: start the run, or read on from the cursor. */
  #ask() {
    const { log, server } = this.session;
    const say = (message) => {
      const id = this.session.newId(); // [MSG-32]
      const out = server.checked(JSON.stringify({ id, ...message }));
      this.session.wire("→", out);
      this.#socket.send(out);
      return id;
    };
    this.#unanswered = true;
    this.#listen(server.silenceMs);
    log.following = false;
    const epoch = log.epoch === null ? {} : { epoch: log.epoch }; // [RESUME-22]
    const resume = { type: "resume", run_id: log.id, after: log.cursor, ...epoch };
    log.asked = say(log.isThere ? resume : { type: "start", ...log.body });
    this.session.started = true;
    this.session.say ??= (one) => (one.id = say({ type: one.type, run_id: log.id, ...one.body }));
  }
}

/** The hundreds digit of a close code says how to go on [CLOSE-4] to [CLOSE-8]. */
function verdict(code, { log, outbox }, begun) {
  const why = `closed with ${code}`;
  const hundreds = Math.floor(code / 100);
  if (hundreds === 41) throw new RunwireError(why, { code: "unauthorized" });
  if (hundreds === 44) throw new RunwireError(why, { code: "forbidden" });
  if (NOT_AGAIN.has(code)) {
    if (log.cursor === begun) throw new RunwireError(why, { code: "bad_request" });
    outbox.clear();
  }
  return { atOnce: hundreds === 40, why };
}

/** Text as base64url without padding; a token is ASCII. */
function base64url(text) {
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
