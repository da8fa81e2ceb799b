// One WebSocket connection: what comes in is answered in order, what goes out is read from logs by cursors.

import { limits, FEATURES, Refusal } from "./limits.js";
import { answering, NoMessage, read, traceIdOf, understand } from "./messages.js";
import { newId } from "./run.js";
import { begin, get, isDraining, newTraceId, runs } from "./service.js";

/** Answers that may wait for a reader; beyond them the connection is not read from. */
const MOST_ANSWERS = 1000;

/** Frames that a client may send at once, and in a second more [LIMIT-14]; how many beyond that end the connection. */
const [FRAMES_AT_ONCE, FRAMES_PER_S, FRAMES_TOO_MANY] = [2000, 200, 1000];

const now = () => performance.now() / 1000;

export class Connection {
  cursors = new Map();
  #answers = [];
  #closing = undefined;
  #isGone = false;
  #wakeUp = () => {};
  #isAwake = false;
  #usedAt = now();
  #spokeAt = now();

  constructor(socket, request, onEnd) {
    this.socket = socket;
    const { traceparent = [] } = request.headersDistinct;
    this.traceId = traceparent.length === 1 ? traceIdOf(traceparent[0]) : undefined;
    const trace_id = this.traceId ?? newTraceId();
    const ready = { type: "ready", protocol: "runwire", version: 1, connection_id: newId(), trace_id };
    this.say({ ...ready, limits, features: FEATURES });
    if (isDraining()) this.sayDraining();
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    socket.on("pong", () => (this.askedAt = undefined));
    // A frame that is arriving is use [LIMIT-5].
    socket._socket.on("data", () => socket._receiver._bufferedBytes > 0 && (this.#usedAt = now()));
    // The library has sent the Close frame that fits a frame that violates RFC 6455, or is too large.
    socket.on("error", () => (this.byServer = true));
    socket.on("close", () => this.#ended(onEnd));
    this.#countFrames();
    this.#watch();
    this.#write();
  }

  /** Bounds the frames of the client [LIMIT-15]: it is told when they are too many, and at last sent away. */
  #countFrames() {
    const receiver = this.socket._receiver;
    const takeFrame = receiver.getInfo;
    let [room, countedAt, isTold] = [FRAMES_AT_ONCE, now(), false];
    receiver.getInfo = (done) => {
      if (receiver._bufferedBytes >= 2) {
        room = Math.min(FRAMES_AT_ONCE, room + (now() - countedAt) * FRAMES_PER_S) - 1;
        countedAt = now();
      }
      if (room < -FRAMES_TOO_MANY) {
        receiver._loop = false; // nothing more is read
        return this.close(4429);
      }
      if (room < 0 && !isTold) {
        isTold = true;
        this.say({ type: "error", data: "too many frames", code: "rate_limited", retryable: true });
      }
      return takeFrame.call(receiver, done);
    };
  }

  /** Queues a message that belongs to no log. */
  say(message) {
    this.#answers.push(JSON.stringify(message));
    if (this.#answers.length > MOST_ANSWERS) this.socket.pause();
    this.wake();
  }

  /** Tells that the server takes on no new runs [DRAIN-2, DRAIN-9]. */
  sayDraining() {
    this.say({ type: "notice", code: "draining", data: "the server will close" });
  }

  /** Has the connection closed when all that was answered is sent. */
  close(code) {
    this.#closing = code;
    this.wake();
  }

  wake = () => {
    this.#isAwake = true;
    this.#wakeUp();
  };

  #ended(onEnd) {
    this.#isGone = true;
    clearInterval(this.watching);
    for (const run of this.cursors.keys()) run.detach(this.wake, this.byServer ?? false);
    this.wake();
    onEnd(this);
  }

  // What comes in

  #receive(data, isBinary) {
    if (this.#closing !== undefined) return;
    if (isBinary) return this.close(1003);
    let value;
    try {
      const found = read(data.toString());
      value = found.value;
      this.#handle(value, understand(value, found.wrong));
    } catch (error) {
      if (error instanceof NoMessage) return this.close(4400);
      if (!(error instanceof Refusal)) throw error;
      const { message, code, retryable } = error;
      this.#usedAt = now(); // a message that is refused is use, too [LIMIT-5]
      this.say({ type: "error", data: message, code, retryable, ...answering(value) });
    }
  }

  #handle(value, type) {
    const re = answering(value);
    if (type === "heartbeat") return this.say({ type: "heartbeat", ...re });
    this.#usedAt = now();
    if (type === "start") return this.#start(value, re);
    if (type === "resume") return this.#resume(value, re);
    if (type === "cancel") return this.#cancel(value, re);
    if (type === "input") throw new Refusal("unsupported", "agents do not ask here");
    this.say({ type: "notice", code: "unknown_type", data: "a message of a type that is not known here", ...re });
  }

  /** The unfinished runs that the connection follows. */
  get followed() {
    return [...this.cursors.keys()].filter((run) => !run.finished);
  }

  #start(start, re) {
    const known = runs.get(start.run_id);
    if (!known || known.hasBody(start)) this.#checkRoom(known, start.run_id !== undefined);
    const { run, isNew } = begin(start, this.traceId);
    this.say({ ...run.started(), ...re });
    if (!isNew) this.say(run.resumed(0));
    this.#follow(run, 0);
  }

  #resume({ run_id, after, epoch }, re) {
    const run = get(run_id);
    if (epoch !== undefined && epoch !== run.epoch) throw new Refusal("not_found", "this log is gone");
    if (after > run.log.length) throw new Refusal("bad_request", "after is beyond the end of the log");
    this.#checkRoom(run, true);
    this.say({ ...run.resumed(after), ...re });
    this.#follow(run, after);
  }

  /** Throws Refusal for one run more than the connection may follow [RUN-7, RUN-24]. */
  #checkRoom(run, isNamed) {
    const followed = this.followed;
    if (followed.length > 0 && !isNamed) throw new Refusal("busy", "a run is in progress");
    const isFurther = !run || (!run.finished && !followed.includes(run));
    if (isFurther && followed.length >= limits.runs_per_connection) {
      throw new Refusal("busy", "the connection follows as many runs as it may");
    }
  }

  /** Sets the one reader of a run on this connection [RUN-25]. */
  #follow(run, after) {
    if (!this.cursors.has(run)) run.attach(this.wake);
    this.cursors.set(run, after);
    this.wake();
  }

  #cancel({ run_id }, re) {
    const named = [runs.get(run_id)].filter((run) => run && !run.finished);
    const found = run_id === undefined ? this.followed : named;
    if (found.length === 0) this.say({ type: "notice", code: "not_active", data: "no unfinished run", ...re });
    for (const run of found) run.cancel("user");
  }

  // What goes out

  /** Sends answers first, then one event of each run in turn [RUN-26]; fills silence with heartbeats. */
  async #write() {
    while (!this.#isGone) {
      this.#isAwake = false;
      while (this.#answers.length > 0 && !this.#isGone) await this.#send(this.#answers.shift());
      if (this.socket.isPaused) this.socket.resume();
      if (this.#closing !== undefined) return this.#sayGoodbye(this.#closing);
      if (!(await this.#sendEvents())) await this.#wait();
    }
  }

  async #sendEvents() {
    let sent = false;
    for (const [run, cursor] of [...this.cursors]) {
      if (this.#answers.length > 0 || this.#isGone) return true;
      if (cursor < run.log.length) {
        this.cursors.set(run, cursor + 1);
        await this.#send(run.log[cursor]);
        sent = true;
      }
      if (run.finished && this.cursors.get(run) === run.log.length) {
        this.cursors.delete(run);
        run.detach(this.wake, true);
        this.#usedAt = now();
      }
    }
    return sent;
  }

  /** Resolves when the socket has taken the text. */
  async #send(text) {
    await new Promise((resolve) => this.socket.send(text, resolve));
    this.#spokeAt = now();
  }

  get #idleAt() {
    return this.#usedAt + limits.idle_s;
  }

  /** Waits for something to send, at most until the next heartbeat or the end of an idle connection. */
  async #wait() {
    const silent = this.#spokeAt + 0.9 * limits.heartbeat_s;
    const until = this.cursors.size > 0 ? silent : Math.min(silent, this.#idleAt);
    let timer;
    if (!this.#isAwake) {
      await new Promise((resolve) => {
        this.#wakeUp = resolve;
        timer = setTimeout(resolve, Math.max(0, until - now()) * 1000);
      });
      clearTimeout(timer);
    }
    if (this.#isAwake) return;
    if (this.cursors.size === 0 && now() >= this.#idleAt) this.close(1000);
    else if (now() >= silent) this.say({ type: "heartbeat" });
  }

  #sayGoodbye(code) {
    this.byServer = true;
    this.socket.close(code);
    // After a flood nothing more is read, so that the client's Close frame is not, either.
    setTimeout(() => this.socket.terminate(), code === 4429 ? 200 : 2000).unref();
  }

  // Is anybody there?

  /** Sends Pings [BEAT-6]; drops a peer that answers none [BEAT-7] or takes nothing [FLOW-5]. */
  #watch() {
    const patience = limits.pong_timeout_s;
    const handle = this.socket._socket._handle;
    const interval = Math.min(limits.heartbeat_s, patience) / 10;
    let [waiting, read, progressAt, pingedAt, tickedAt] = [0, 0, now(), now(), now()];
    const tick = () => {
      // Timers come before what has arrived: after a pause of the whole process, the Pong may lie there unread.
      const isLate = now() - tickedAt > 3 * interval;
      tickedAt = now();
      if (isLate) [progressAt, this.askedAt] = [now(), this.askedAt && now()];
      // Node itself tells by this number whether a write goes on, see net.Socket's idle timeout.
      const before = waiting;
      waiting = handle.writeQueueSize;
      if (waiting === 0 || waiting < before || this.#spokeAt > progressAt) {
        progressAt = now();
        if (waiting > 0 && this.askedAt !== undefined) this.askedAt = now();
      }
      // A frame that is still arriving leaves no room for a Pong [BEAT-12].
      const readBefore = read;
      read = this.socket._socket?.bytesRead ?? 0;
      if (read > readBefore && this.socket._receiver._bufferedBytes > 0 && this.askedAt !== undefined) this.askedAt = now();
      if (now() - progressAt > patience) return this.#drop(4001);
      if (this.askedAt !== undefined && now() - this.askedAt > patience) return this.#drop(1011);
      if (now() - pingedAt > 0.7 * limits.heartbeat_s && this.socket.readyState === this.socket.OPEN) {
        this.socket.ping();
        pingedAt = now();
        this.askedAt ??= now();
      }
    };
    this.watching = setInterval(tick, interval * 1000);
  }

  #drop(code) {
    clearInterval(this.watching);
    this.byServer = true;
    this.socket.close(code);
    setTimeout(() => this.socket.terminate(), 200).unref();
  }
}
