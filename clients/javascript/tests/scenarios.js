// What a server or what lies between can do to a client, and what it has to do then, judged by the wire alone.
// A scenario plays until its run is over and for `linger` ms more, or for `ms` from the time that
// the client told its state for the third time, or as often as `after` says.

import assert from "node:assert/strict";

import { logOf, resumed, serveHttp, serveSocket, started } from "./logs.js";

/** Most attempts that growing back-off with full jitter makes in 3 seconds, by far. */
const FEW = 12;
const WORDS = Array.from({ length: 60 }, (_, place) => `w${place} `);
const TEXT = WORDS.join("");
const SSE = { transport: "sse" };
const SOCKET = { transport: "websocket" };
const BUSY = { type: "error", code: "busy", retryable: true, data: "later" };

const completed = (text) => (outcome) => {
  assert.equal(outcome.text, text);
  assert.equal(outcome.ended?.status, "completed");
};
/** How long the client waited between the entries of a kind, in ms. */
const waits = (entries) => entries.slice(1).map(({ at }, place) => at - entries[place].at);

/** A script that refuses the first attempt at something and then serves the log. */
const onceOverHttp = (first, log = logOf(WORDS)) => {
  const good = serveHttp(log);
  return { ...good, "POST /v1/runs": (answer, asked) => (asked.count === 1 ? first(answer, asked) : good["POST /v1/runs"](answer, asked)) };
};

export const SCENARIOS = {
  "a run over a WebSocket": {
    script: { websocket: (connection) => serveSocket(connection, logOf(WORDS)) },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.equal(stand.of("handshake").length, 1);
      assert.equal(stand.messages("start").length, 1);
      assert.match(stand.messages("start")[0].run_id, /^[A-Za-z0-9_-]{21,64}$/);
      assert.ok(!JSON.stringify(stand.messages("start")).includes("null"));
    },
  },

  "separators of lines in a text over SSE": {
    options: SSE,
    script: serveHttp(logOf(["line\u2028separator", "\u2029\u0085\v", "after"])),
    check: completed("line\u2028separator\u2029\u0085\vafter"),
  },

  "a stream that is cut at every byte": {
    options: SSE,
    script: serveHttp(logOf(["é", "中", "😀", "\ufeff"]), {
      write: (stream, event) => {
        const bytes = Buffer.from(`data: ${JSON.stringify(event)}\r\n\r\n`);
        for (const byte of bytes) stream.raw(Buffer.of(byte));
      },
    }),
    check: completed("é中😀\ufeff"),
  },

  "data that is no message": {
    options: SSE,
    script: serveHttp(logOf(WORDS), {
      write: (stream, event) => (stream.raw("data: [DONE]\n\ndata: ping\n\ndata: 7\n\ndata: null\n\n: a comment\n\n"), stream.say(event)),
    }),
    check: completed(TEXT),
  },

  "messages that are none, events of others and a second ready": {
    script: {
      websocket: (connection) =>
        serveSocket(connection, logOf(WORDS), {
          send: (event) => {
            for (const text of ["", "{", "[]", "null", "7", "{}", '{"type":7}']) connection.raw(text);
            connection.say({ ...event, run_id: "another".padEnd(22, "x"), data: "not this" });
            connection.say({ type: "ready", protocol: "runwire", version: 1 });
            connection.say(event);
          },
        }),
    },
    check: completed(TEXT),
  },

  "an event that is lost once is asked for once": {
    options: SOCKET,
    script: {
      websocket: (connection) =>
        serveSocket(connection, logOf(WORDS), {
          send: (event, { type }) => (event.seq === 20 && type === "start" ? undefined : connection.say(event)),
        }),
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      const asked = stand.messages("resume");
      assert.deepEqual(asked.map(({ after, epoch }) => [after, epoch]), [[19, "e1"]]); // prettier-ignore
      assert.equal(stand.of("handshake").length, 1);
    },
  },

  "an event that is lost for good is asked for ever more rarely": {
    options: SOCKET,
    ms: 3000,
    script: {
      websocket: (connection) =>
        serveSocket(connection, logOf(WORDS), { send: (event) => event.seq !== 20 && connection.say(event) }),
    },
    check: (outcome, stand) => {
      assert.equal(outcome.cursor, 19);
      const asked = stand.messages("resume");
      assert.ok(asked.length >= 2 && asked.length <= FEW, `${asked.length} resume`);
      assert.ok(asked.every(({ after }) => after === 19));
      assert.equal(new Set(asked.map(({ id }) => id)).size, asked.length);
    },
  },

  "an event that a stream lost for good": {
    options: SSE,
    ms: 3000,
    script: serveHttp(logOf(WORDS), { write: (stream, event) => event.seq !== 20 && stream.say(event) }),
    check: (outcome, stand) => {
      assert.equal(outcome.cursor, 19);
      const requests = stand.of("request").length;
      assert.ok(requests >= 3 && requests <= FEW + 2, `${requests} requests`);
    },
  },

  "duplicates, merged events, events of unknown types and a replace": {
    script: {
      websocket: (connection) =>
        serveSocket(connection, [
          { type: "token", seq: 1, data: "wrong" },
          { type: "token", seq: 1, data: "wrong" },
          { type: "later:type", seq: 2, data: "?" },
          { type: "replace", seq: 3, data: "a" },
          { type: "token", seq: 3, data: "twice" },
          { type: "token", first_seq: 4, seq: 6, data: "bcd" },
          { type: "done", seq: 7, data: "ok", status: "completed" },
        ]),
    },
    check: completed("abcd"),
  },

  "a merged event that begins before the cursor is no event": {
    options: SOCKET,
    script: {
      websocket: (connection) =>
        serveSocket(connection, logOf(["a", "b", "c"]), {
          send: (event, { type }) =>
            connection.say(type === "start" && event.seq === 3 ? { ...event, first_seq: 2, data: "bc" } : event),
        }),
    },
    check: completed("abc"),
  },

  "a connection that breaks again and again": {
    options: SOCKET,
    script: {
      websocket: (connection) => {
        let left = 15;
        serveSocket(connection, logOf(WORDS), { send: (event) => (left-- > 0 ? connection.say(event) : left === -1 && setTimeout(() => connection.break(), 20)) });
      },
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.deepEqual(stand.messages("resume").map(({ after }) => after), [15, 30, 45, 60]); // prettier-ignore
    },
  },

  "a close with 4000 is followed at once, and without progress ever more rarely": {
    options: SOCKET,
    after: 4,
    ms: 3000,
    script: {
      websocket: (connection) =>
        serveSocket(connection, logOf(WORDS, { end: false }), { after: () => connection.close(4000) }),
    },
    check: (outcome, stand) => {
      assert.equal(outcome.text, TEXT);
      const shaken = stand.of("handshake");
      assert.ok(shaken.length >= 2 && shaken.length <= FEW, `${shaken.length} handshakes`);
    },
  },

  "a close with 4000 before anything was said": {
    ms: 3000,
    script: { websocket: (connection) => (connection.accept(), connection.close(4000)) },
    check: (outcome, stand) => {
      assert.ok(stand.of("handshake").length <= FEW, `${stand.of("handshake").length} handshakes`);
      assert.equal(stand.requests("POST", "/v1/runs").length, 0);
    },
  },

  "a close with 4000 after the run was accepted, and nothing more": {
    options: SOCKET,
    after: 4,
    ms: 3000,
    script: { websocket: (connection) => serveSocket(connection, [], { after: () => connection.close(4000) }) },
    check: (outcome, stand) => {
      assert.ok(stand.of("handshake").length <= FEW, `${stand.of("handshake").length} handshakes`);
      assert.equal(stand.messages("start").length, 1);
    },
  },

  "a page of the log that is always empty": {
    options: SSE,
    after: 4,
    ms: 3000,
    script: {
      discovery: { features: ["resume", "sse", "poll"] },
      "POST /v1/runs": (answer) => answer.response.writeHead(200, { "Content-Type": "text/event-stream" }).flushHeaders(),
      "GET *": (answer, { path }) =>
        answer.json(200, { run_id: path.split("/")[3], epoch: "e1", status: "running", next: "e1.0", events: [] }),
    },
    check: (outcome, stand) => {
      const polls = stand.of("request").filter(({ path }) => path.includes("/events?"));
      assert.ok(waits(polls).every((waited) => waited > 500), `polled after ${waits(polls)} ms`);
    },
  },

  "a stream that ends at once each time": {
    options: SSE,
    ms: 3000,
    script: serveHttp(logOf(WORDS, { end: false })),
    check: (outcome, stand) => {
      const asked = stand.of("request").filter(({ path }) => path.endsWith("/events"));
      assert.equal(outcome.text, TEXT);
      assert.ok(asked.length >= 2 && asked.length <= FEW, `${asked.length} requests`);
      assert.ok(asked.every(({ headers }) => headers["last-event-id"] === "e1.60"));
    },
  },

  "a stream that breaks in the middle of an event": {
    options: SSE,
    script: {
      ...serveHttp(logOf(WORDS)),
      "POST /v1/runs": (answer, { body }) => {
        const { run_id } = JSON.parse(body);
        const out = answer.stream({ epoch: "e1" });
        out.say(started(run_id));
        for (const event of logOf(WORDS).slice(0, 10)) out.say({ run_id, ...event });
        out.raw(`id: e1.11\ndata: {"type":"token","run_id":"${run_id}","seq":11,"da`);
        setTimeout(() => out.break(), 50);
      },
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.match(stand.of("request").at(-1).path, /\/events$/);
      assert.equal(stand.of("request").at(-1).headers["last-event-id"], "e1.10");
    },
  },

  "a page of a gateway with status 200": {
    options: SSE,
    ms: 3000,
    script: { "POST /v1/runs": (answer) => answer.html(200) },
    check: (outcome, stand) => {
      const asked = stand.requests("POST", "/v1/runs");
      assert.ok(asked.length >= 2 && asked.length <= FEW, `${asked.length} POST`);
      assert.equal(new Set(asked.map(({ body }) => body)).size, 1);
    },
  },

  "a page of a gateway with status 200 once": {
    options: SSE,
    script: onceOverHttp((answer) => answer.html(200)),
    check: completed(TEXT),
  },

  "a page of a gateway with status 502 once": {
    options: SSE,
    script: onceOverHttp((answer) => answer.html(502)),
    check: completed(TEXT),
  },

  "a 503 with Retry-After": {
    options: SSE,
    script: onceOverHttp((answer) => answer.problem(503, "unavailable", { "Retry-After": "1" })),
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      const [waited] = waits(stand.requests("POST", "/v1/runs"));
      assert.ok(waited >= 990, `${waited} ms`);
    },
  },

  "a page of a proxy with status 503 and Retry-After": {
    options: SSE,
    script: onceOverHttp((answer) => answer.send(503, { "Retry-After": "1", "Content-Type": "text/html" }, "busy")),
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.ok(waits(stand.requests("POST", "/v1/runs"))[0] >= 990);
    },
  },

  "a discovery document that is refused with 429, and then there": {
    script: {
      discovery: (answer, { count }) =>
        count === 1 ? answer.problem(429, "busy", { "Retry-After": "1" }) : answer.json(200, { ...DISCOVERED }),
      websocket: (connection) => serveSocket(connection, logOf(WORDS)),
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.ok(waits(stand.requests("GET", "/.well-known/runwire"))[0] >= 990);
    },
  },

  "a refused start is sent again under its run_id, after the time that was named": {
    options: SOCKET,
    script: {
      websocket: (connection, { count }) => {
        if (count > 1) return serveSocket(connection, logOf(WORDS));
        connection.onmessage = ({ id }) => connection.say({ ...BUSY, re: id, retry_after_ms: 700 });
        connection.greet();
      },
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      const asked = stand.messages("start");
      assert.equal(new Set(asked.map(({ run_id }) => run_id)).size, 1);
      assert.ok(waits(asked)[0] >= 690);
    },
  },

  "a refusal for good is not tried again": {
    linger: 700,
    script: {
      websocket: (connection) => {
        connection.onmessage = ({ id }) => connection.say({ type: "error", re: id, code: "new_code", retryable: false, data: "no" });
        connection.greet();
      },
    },
    check: (outcome, stand) => {
      assert.equal(outcome.failure.code, "new_code");
      assert.equal(stand.messages("start").length, 1);
      assert.equal(stand.of("handshake").length, 1);
    },
  },

  "a run that failed is over, also when it may be tried again": {
    linger: 700,
    script: {
      websocket: (connection) =>
        serveSocket(connection, [{ type: "error", seq: 1, code: "upstream_error", retryable: true, data: "broke" }]),
    },
    check: (outcome, stand) => {
      assert.equal(outcome.ended.code, "upstream_error");
      assert.equal(stand.messages("start").length, 1);
    },
  },

  "a blocked WebSocket": {
    script: serveHttp(logOf(WORDS)),
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.equal(outcome.transport, "sse");
      const kinds = stand.wire.map(({ kind, method, path }) => (kind === "handshake" ? kind : `${method} ${path}`));
      assert.deepEqual(kinds, ["GET /.well-known/runwire", "handshake", "GET /.well-known/runwire", "POST /v1/runs"]);
    },
  },

  "a proxy that lets a WebSocket in and forwards nothing": {
    script: { ...serveHttp(logOf(WORDS)), websocket: (connection) => connection.accept() },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.equal(outcome.transport, "sse");
      const [discovery] = stand.of("request");
      assert.ok(stand.requests("POST", "/v1/runs")[0].at - discovery.at >= 4900);
    },
  },

  "a run goes on over SSE where the WebSocket left it": {
    script: {
      ...serveHttp(logOf(WORDS)),
      websocket: (connection, { count }) => {
        if (count > 1) return connection.break();
        serveSocket(connection, logOf(WORDS).slice(0, 30), { after: () => connection.close(1012) });
      },
    },
    check: (outcome, stand) => {
      assert.equal(stand.requests("POST", "/v1/runs").length, 0);
      completed(TEXT)(outcome);
      assert.equal(stand.of("request").at(-1).headers["last-event-id"], "e1.30");
    },
  },

  "a WebSocket that is refused because the client may not come in": {
    linger: 700,
    script: {
      discovery: (answer, { count }) => (count === 1 ? answer.json(200, DISCOVERED) : answer.problem(403, "forbidden")),
    },
    check: (outcome, stand) => {
      assert.equal(outcome.failure.code, "forbidden");
      assert.equal(stand.requests("POST", "/v1/runs").length, 0);
      assert.equal(stand.of("handshake").length, 1);
    },
  },

  "a proxy that gathers the stream": {
    options: SSE,
    script: (() => {
      let finished = false;
      const state = () => ({ epoch: "e1", status: finished ? "completed" : "running", seq: finished ? 61 : 2, text: finished ? TEXT : "w0 w1 " });
      const good = serveHttp(logOf(WORDS));
      return {
        "POST /v1/runs": (answer, asked) => {
          const { run_id } = JSON.parse(asked.body);
          answer.response.writeHead(200, { "Content-Type": "text/event-stream" }).flushHeaders();
          answer.run_id = run_id;
          good["POST /v1/runs"]({ stream: () => ({ say() {}, raw() {}, end() {} }) }, asked);
        },
        "GET *": (answer, asked) => {
          if (asked.path.endsWith("/events")) return good["GET *"](answer, asked);
          const run_id = asked.path.split("/").at(-1);
          answer.json(200, { run_id, ...state() });
          finished = true;
        },
      };
    })(),
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.ok(outcome.states.includes("polling"));
      const [discovery, , poll] = stand.of("request");
      assert.ok(poll.at - discovery.at >= 4900);
      assert.equal(poll.path, `/v1/runs/${outcome.id}`);
      assert.equal(outcome.events.length, 61);
    },
  },

  "a proxy that gathers the stream of a server whose log can be polled": {
    options: SSE,
    script: {
      discovery: { features: ["resume", "sse", "poll"] },
      "POST /v1/runs": (answer) => answer.response.writeHead(200, { "Content-Type": "text/event-stream" }).flushHeaders(),
      "GET *": (answer, { path }) => {
        const after = Number(new URL(path, "http://x").searchParams.get("after").split(".").at(-1));
        const events = logOf(WORDS).filter(({ seq }) => seq > after).slice(0, 31); // prettier-ignore
        const run_id = path.split("/")[3];
        answer.json(200, { run_id, epoch: "e1", status: "running", next: `e1.${after + events.length}`, events: events.map((event) => ({ run_id, ...event })) });
      },
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.equal(outcome.events.length, 61);
      const polls = stand.of("request").filter(({ path }) => path.includes("/events?"));
      assert.equal(polls.length, 2);
      assert.ok(polls.every(({ headers }) => headers.accept === "application/json"));
      assert.match(polls[1].path, /after=e1\.31/);
    },
  },

  "heartbeats that stop on a WebSocket": {
    options: SOCKET,
    script: {
      discovery: { limits: { heartbeat_s: 0.2 } },
      websocket: (connection, { count }) =>
        serveSocket(connection, count === 1 ? logOf(WORDS).slice(0, 9) : logOf(WORDS)),
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.equal(stand.messages("heartbeat").length, 0);
      const [discovery] = stand.of("request");
      assert.ok(stand.of("handshake")[1].at - discovery.at >= 590);
    },
  },

  "heartbeats that stop in a stream": {
    options: SSE,
    script: {
      discovery: { limits: { heartbeat_s: 0.2 } },
      ...serveHttp(logOf(WORDS), {
        write: (stream, event) => (stream.count = (stream.count ?? 0) + 1) <= 40 && stream.say(event),
        end: (stream, after) => after > 0 && stream.end(),
      }),
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      const [discovery, , get] = stand.of("request");
      assert.ok(get.at - discovery.at >= 590);
      assert.equal(get.headers["last-event-id"], "e1.40");
    },
  },

  "heartbeats are waited for, and not answered": {
    options: SOCKET,
    script: {
      discovery: { limits: { heartbeat_s: 1 } },
      websocket: (connection) => {
        const beats = setInterval(() => connection.say({ type: "heartbeat" }), 500);
        connection.socket.on("close", () => clearInterval(beats));
        serveSocket(connection, logOf(WORDS).slice(0, 9), {
          after: () => setTimeout(() => logOf(WORDS).slice(9).forEach((event) => connection.say({ run_id: connection.run_id, ...event })), 5000),
        });
      },
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.equal(stand.of("handshake").length, 1);
      assert.equal(stand.messages("heartbeat").length, 0);
    },
  },

  "a log that is gone is begun anew": {
    options: SOCKET,
    script: {
      websocket: (connection, { count }) =>
        count === 1
          ? serveSocket(connection, logOf(WORDS).slice(0, 9), { after: () => setTimeout(() => connection.close(1012), 20) })
          : serveSocket(connection, logOf(WORDS), { epoch: "e2" }),
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.equal(outcome.anew, 1);
      const [first, second] = stand.messages("start");
      assert.equal(first.run_id, second.run_id);
      assert.equal(stand.messages("resume").length, 1);
      assert.equal(stand.messages("resume")[0].epoch, "e1");
    },
  },

  "a log that is gone each time is begun anew ever more rarely": {
    options: SOCKET,
    after: 5,
    ms: 3000,
    script: {
      websocket: (connection, { count }) =>
        serveSocket(connection, logOf(WORDS).slice(0, 9), { epoch: `e${count}`, after: () => setTimeout(() => connection.close(1012), 5) }),
    },
    check: (outcome, stand) => {
      const asked = stand.messages("start").length + stand.messages("resume").length;
      assert.ok(asked >= 2 && asked <= 2 * FEW, `${asked} requests`);
    },
  },

  "a close for abuse": {
    linger: 700,
    script: {
      websocket: (connection) => serveSocket(connection, logOf(WORDS).slice(0, 9), { after: () => connection.close(4429) }),
    },
    check: (outcome, stand) => {
      assert.match(outcome.failure.message, /4429/);
      assert.equal(stand.of("handshake").length, 1);
      assert.equal(stand.of("request").length, 1);
    },
  },

  "a close for a message that is too large": {
    linger: 700,
    script: {
      websocket: (connection) => {
        connection.onmessage = () => connection.close(1009);
        connection.greet();
      },
    },
    check: (outcome, stand) => {
      assert.match(outcome.failure.message, /1009/);
      assert.equal(stand.messages("start").length, 1);
      assert.equal(stand.of("handshake").length, 1);
    },
  },

  "a prompt that is larger than the server takes is not sent": {
    prompt: "é".repeat(40000),
    linger: 700,
    script: { websocket: (connection) => serveSocket(connection, logOf(WORDS)) },
    check: (outcome, stand) => {
      assert.equal(outcome.failure.code, "payload_too_large");
      assert.equal(stand.messages("start").length, 0);
    },
  },

  "an internal error of the server": {
    options: SOCKET,
    ms: 3000,
    script: { websocket: (connection) => (connection.greet(), connection.close(1011)) },
    check: (outcome, stand) => {
      const shaken = stand.of("handshake").length;
      assert.ok(shaken >= 2 && shaken <= FEW, `${shaken} handshakes`);
    },
  },

  "another version of the protocol": {
    linger: 700,
    script: { websocket: (connection) => connection.greet({ version: 2 }) },
    check: (outcome, stand) => {
      assert.equal(outcome.failure.code, "unsupported");
      assert.equal(stand.of("message").length, 0);
      assert.equal(stand.of("handshake").length, 1);
    },
  },

  "a ticket in place of the token, a new one each time": {
    options: { ...SOCKET, token: "secret", tickets: true },
    script: (() => {
      let issued = 0;
      return {
        discovery: { endpoints: { websocket: "/ws/generate?lang=en", runs: "/v1/runs", tickets: "/v1/tickets" } },
        "POST /v1/tickets": (answer) => answer.json(200, { ticket: `ticket${++issued}`.padEnd(22, "x"), expires_in_s: 30 }),
        websocket: (connection, { count }) =>
          serveSocket(connection, logOf(WORDS).slice(0, count === 1 ? 9 : 61), { after: () => count === 1 && connection.close(4001) }),
      };
    })(),
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      const asked = stand.requests("POST", "/v1/tickets");
      assert.ok(asked.every(({ headers }) => headers.authorization === "Bearer secret"));
      assert.ok(asked.every(({ headers }) => headers["content-type"] === "application/json"));
      assert.deepEqual(stand.of("handshake").map(({ path, offered }) => [path, offered]), [1, 2].map((number) => [`/ws/generate?lang=en&ticket=ticket${number}xxxxxxxxxxxxxxx`, "runwire.v1"])); // prettier-ignore
    },
  },

  "tickets that a server does not issue": {
    options: { ...SOCKET, token: "secret", tickets: true },
    script: { websocket: (connection) => serveSocket(connection, logOf(WORDS)) },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.match(stand.of("handshake")[0].offered, /bearer\.c2VjcmV0/);
    },
  },

  "a credential that expires, and a new one": {
    options: SOCKET,
    tokens: ["old", "new"],
    script: {
      websocket: (connection, { count }) =>
        serveSocket(connection, logOf(WORDS).slice(0, count === 1 ? 9 : 61), { after: () => count === 1 && connection.close(4101) }),
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      const encoded = ["b2xk", "bmV3"].map((token) => `runwire.v1, bearer.${token}`);
      assert.deepEqual(stand.of("handshake").map(({ offered }) => offered), encoded); // prettier-ignore
      assert.ok(stand.wire.every(({ path = "" }) => !path.includes("old") && !path.includes("b2xk")));
    },
  },

  "a credential that is refused each time": {
    options: SSE,
    tokens: Array.from({ length: 999 }, (_, place) => `token${place}`),
    ms: 3000,
    script: { discovery: (answer) => answer.problem(401, "unauthorized", { "WWW-Authenticate": "Bearer" }) },
    check: (outcome, stand) => {
      const asked = stand.requests("GET", "/.well-known/runwire");
      assert.ok(asked.length >= 2 && asked.length <= FEW, `${asked.length} requests`);
      assert.equal(new Set(asked.map(({ headers }) => headers.authorization)).size, asked.length);
    },
  },

  "a server that lets nobody in without a token": {
    tokens: ["", "good"],
    script: {
      discovery: { auth: ["bearer", "ticket"] },
      websocket: (connection, { offered }) =>
        offered.includes("bearer.") ? serveSocket(connection, logOf(WORDS)) : connection.socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n"),
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.equal(outcome.transport, "websocket");
      assert.ok(outcome.states.includes("unauthorized"));
      assert.equal(stand.of("handshake").length, 2);
      assert.equal(stand.requests("POST", "/v1/runs").length, 0);
    },
  },

  "a credential that is refused, and no other": {
    tokens: ["only"],
    linger: 700,
    script: { discovery: (answer) => answer.problem(401, "unauthorized") },
    check: (outcome, stand) => {
      assert.equal(outcome.failure.code, "unauthorized");
      assert.equal(stand.of("request").length, 1);
    },
  },

  "endpoints of another origin get no token": {
    options: { token: "secret" },
    linger: 700,
    script: {
      discovery: (answer, { headers }) =>
        answer.json(200, { ...DISCOVERED, endpoints: { websocket: `ws://localhost:${headers.host.split(":")[1]}/ws/generate`, runs: "/v1/runs" } }),
      websocket: (connection) => serveSocket(connection, logOf(WORDS)),
    },
    check: (outcome, stand) => {
      assert.equal(outcome.failure.code, "forbidden");
      assert.equal(stand.of("handshake").length, 0);
    },
  },

  "a discovery document that moved to another origin gets no token there": {
    onlyNode: true, // a browser refuses the redirect
    options: { token: "secret" },
    linger: 700,
    script: {
      discovery: (answer, { headers }) =>
        answer.send(302, { Location: `http://localhost:${headers.host.split(":")[1]}/elsewhere` }, ""),
      "GET /elsewhere": (answer) => answer.json(200, DISCOVERED),
      websocket: (connection) => serveSocket(connection, logOf(WORDS)),
    },
    check: (outcome, stand) => {
      assert.equal(outcome.failure.code, "forbidden");
      assert.equal(stand.requests("GET", "/elsewhere")[0].headers.authorization, undefined);
      assert.equal(stand.of("handshake").length, 0);
    },
  },

  "no WebSocket, and nothing else is allowed": {
    options: { ...SOCKET, WebSocket: null },
    linger: 700,
    script: {},
    check: (outcome, stand) => {
      assert.equal(outcome.failure.code, "unsupported");
      assert.equal(stand.of("request").length, 1);
    },
  },

  "no WebSocket": {
    options: { WebSocket: null },
    script: serveHttp(logOf(WORDS)),
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.equal(stand.of("request").length, 2);
    },
  },

  "a cancel that the line lost is said again": {
    options: SOCKET,
    acts: { token: ["cancel"] },
    script: {
      websocket: (connection, { count }) => {
        serveSocket(connection, logOf(WORDS).slice(0, 9));
        const serve = connection.onmessage;
        connection.onmessage = (message) => {
          if (message.type !== "cancel") return serve(message);
          if (count === 1) return connection.break();
          connection.say({ type: "done", run_id: message.run_id, seq: 10, data: "cancelled", status: "cancelled", reason: "user" });
        };
      },
    },
    check: (outcome, stand) => {
      assert.equal(outcome.ended.status, "cancelled");
      assert.deepEqual(stand.messages("cancel").map(({ run_id }) => run_id), [outcome.id, outcome.id]); // prettier-ignore
    },
  },

  "a cancel over HTTP that a gateway answers": {
    options: SSE,
    acts: { token: ["cancel"] },
    script: (() => {
      let stream;
      let tries = 0;
      return {
        ...serveHttp(logOf(WORDS).slice(0, 9), { end: (out) => (stream = out) }),
        "POST *": (answer, { path }) => {
          if (++tries < 3) return answer.html(502);
          const run_id = path.split("/")[3];
          answer.json(200, { run_id, status: "running", seq: 9 });
          stream.say({ type: "done", run_id, seq: 10, data: "cancelled", status: "cancelled", reason: "user" });
          stream.end();
        },
      };
    })(),
    check: (outcome, stand) => {
      assert.equal(outcome.ended.status, "cancelled");
      assert.equal(stand.requests("POST", `/v1/runs/${outcome.id}/cancel`).length, 3);
    },
  },

  "a run that was stopped is not begun anew": {
    options: SOCKET,
    acts: { token: ["cancel"] },
    script: {
      websocket: (connection, { count }) => {
        serveSocket(connection, logOf(WORDS).slice(0, 9), { epoch: `e${count}` });
        const serve = connection.onmessage;
        connection.onmessage = (message) => (message.type === "cancel" ? connection.break() : serve(message));
      },
    },
    check: (outcome, stand) => {
      assert.equal(stand.messages("start").length, 1);
      assert.equal(outcome.failure.code, "not_found");
    },
  },

  "a stop before anything was said": {
    acts: { begin: ["cancel"] },
    linger: 700,
    script: { websocket: (connection) => serveSocket(connection, logOf(WORDS)) },
    check: (outcome, stand) => {
      assert.equal(outcome.failure.code, "cancelled");
      assert.equal(stand.messages("start").length, 0);
    },
  },

  "an answer is said again until the log shows that it arrived": {
    options: SOCKET,
    acts: { input_request: ["answer", "q1", { yes: true }] },
    script: {
      websocket: (connection, { count }) => {
        const ask = { type: "input_request", seq: 1, request_id: "q1", kind: "form", schema: {}, expires_at: "2030-01-01T00:00:00Z" };
        serveSocket(connection, [ask]);
        const serve = connection.onmessage;
        connection.onmessage = (message) => {
          if (message.type !== "input") return serve(message);
          if (count === 1) return connection.break();
          if (count === 2) return setTimeout(() => connection.close(4001), 20);
          const { run_id } = message;
          connection.say({ type: "input_closed", run_id, seq: 2, request_id: "q1", outcome: "answered" });
          connection.say({ type: "done", run_id, seq: 3, data: "ok", status: "completed" });
        };
      },
    },
    check: (outcome, stand) => {
      completed("")(outcome);
      const asked = stand.messages("input");
      assert.equal(asked.length, 3);
      assert.ok(asked.every(({ data, run_id }) => data.yes === true && run_id === outcome.id));
    },
  },

  "a server that knows the shapes and nothing else": {
    direct: true,
    script: {
      websocket: (connection) => {
        connection.onmessage = () => {
          for (const data of WORDS) connection.say({ type: "token", data });
          connection.say({ type: "done", data: "generation completed" });
        };
        connection.accept();
      },
    },
    check: (outcome, stand) => {
      assert.equal(outcome.text, TEXT);
      assert.equal(outcome.ended.type, "done");
      assert.equal(stand.of("request").length, 0);
    },
  },

  "a server that knows the shapes and breaks off": {
    direct: true,
    linger: 700,
    script: {
      websocket: (connection) => {
        connection.onmessage = () => (connection.say({ type: "token", data: "a" }), setTimeout(() => connection.close(1012), 20));
        connection.accept();
      },
    },
    check: (outcome, stand) => {
      assert.equal(outcome.text, "a");
      assert.match(outcome.failure.message, /cannot resume/);
      assert.equal(stand.of("handshake").length, 1);
      assert.deepEqual(stand.of("message").map(({ message }) => message.type), ["start"]); // prettier-ignore
    },
  },

  "a server of which only the WebSocket is known": {
    direct: true,
    script: {
      websocket: (connection) => {
        let left = 25;
        serveSocket(connection, logOf(WORDS), { send: (event) => (left-- > 0 ? connection.say(event) : left === -1 && setTimeout(() => connection.close(4001), 20)) });
      },
    },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      assert.equal(stand.messages("start").length, 1);
      assert.equal(stand.of("request").length, 0);
    },
  },

  "a viewer of somebody else's run": {
    prompt: null,
    options: { runId: "r".repeat(22) },
    script: { websocket: (connection) => serveSocket(connection, logOf(WORDS)) },
    check: (outcome, stand) => {
      completed(TEXT)(outcome);
      const [{ after, run_id }] = stand.messages("resume");
      assert.deepEqual([after, run_id], [0, "r".repeat(22)]);
      assert.equal(stand.messages("start").length, 0);
    },
  },

  "a viewer of a run that is gone": {
    prompt: null,
    options: { runId: "r".repeat(22), ...SSE },
    linger: 700,
    script: {},
    check: (outcome, stand) => {
      assert.equal(outcome.failure.code, "not_found");
      assert.equal(stand.of("request").length, 2);
    },
  },

  "a server that never says where the log begins": {
    options: SOCKET,
    script: {
      discovery: { limits: { heartbeat_s: 0.2 } },
      websocket: (connection, { count }) => {
        const beats = setInterval(() => connection.say({ type: "heartbeat" }), 50);
        connection.socket.on("close", () => clearInterval(beats));
        if (count > 1) return serveSocket(connection, logOf(WORDS));
        connection.greet();
      },
    },
    check: completed(TEXT),
  },

  "no server at an address": {
    ms: 3000,
    script: { discovery: (answer) => answer.response.destroy() },
    check: (outcome, stand) => {
      const asked = stand.of("request").length;
      assert.ok(asked >= 2 && asked <= FEW, `${asked} requests`);
      assert.ok(outcome.states.includes("offline"));
    },
  },

  "a gateway that knows nothing for a while": {
    script: {
      discovery: (answer, { count }) => (count === 2 ? answer.html(404) : answer.json(200, DISCOVERED)),
      websocket: (connection, { count }) => (count === 1 ? connection.break() : serveSocket(connection, logOf(WORDS))),
    },
    check: completed(TEXT),
  },

  "a server that is none of ours": {
    linger: 700,
    script: { discovery: (answer) => answer.html(404) },
    check: (outcome, stand) => {
      assert.equal(stand.of("request").length, 1);
      assert.ok(outcome.failure);
    },
  },
};

const DISCOVERED = {
  protocol: "runwire",
  versions: [1],
  endpoints: { websocket: "/ws/generate", runs: "/v1/runs" },
  features: ["resume", "sse"],
  limits: { heartbeat_s: 15 },
};
