// The `fetch` for clients of AG-UI, against a server that carries a run and a line that breaks.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createRunwireFetch } from "../src/ag_ui.js";
import { EventReader } from "../src/event_reader.js";
import { Stand } from "./stand.js";

const WORDS = Array.from({ length: 60 }, (_, place) => `w${place}\u2028`);
const EVENTS = [
  { type: "RUN_STARTED" },
  ...WORDS.map((delta) => ({ type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta })),
  { type: "RUN_FINISHED" },
];
const BODY = JSON.stringify({ threadId: "t", runId: "r1", messages: [] });
const INIT = { method: "POST", headers: { "Content-Type": "application/json", Accept: "text/event-stream", Authorization: "Bearer x" }, body: BODY };

/** Serve the events behind `Last-Event-ID`; `most(count)` is how many the line carries the nth time before it breaks. */
function line(most, { ids = true, headers = {} } = {}) {
  return (answer, asked) => {
    const after = Number(asked.headers["last-event-id"] ?? 0);
    const { response } = answer;
    response.writeHead(200, { "Content-Type": "text/event-stream", ...headers });
    response.write(": hello\r\n\r\n");
    const piece = EVENTS.slice(after, after + most(asked.count));
    for (const [place, event] of piece.entries()) {
      const id = ids ? `id: ${after + place + 1}\r\n` : "";
      response.write(`${id}data: ${JSON.stringify(event)}\r\n\r\n`);
    }
    if (after + piece.length === EVENTS.length) return response.end();
    response.write('id: 99\r\ndata: {"type":"TEXT_MESS');
    if (asked.count % 2) setTimeout(() => response.destroy(), 20);
    else response.end();
  };
}

const stopped = (answer) => answer.json(200, { run_id: "r1", status: "running", seq: 9 });

async function read(response) {
  const reader = new EventReader();
  const events = [];
  for await (const piece of response.body) events.push(...reader.feed(piece));
  return events.map(({ data }) => JSON.parse(data));
}

async function withStand(script, act) {
  const stand = await Stand.open(script);
  try {
    await act(`${stand.url}/ag-ui`, stand);
  } finally {
    stand.close();
  }
}

test("a line that breaks again and again loses and doubles nothing", () =>
  withStand({ "POST /ag-ui": line(() => 9) }, async (url, stand) => {
    const response = await createRunwireFetch()(url, INIT);
    assert.deepEqual(await read(response), EVENTS);
    const asked = stand.requests("POST", "/ag-ui");
    assert.deepEqual(asked.map(({ headers }) => headers["last-event-id"]), [undefined, "9", "18", "27", "36", "45", "54"]); // prettier-ignore
    assert.ok(asked.every(({ body, headers }) => body === BODY && headers.authorization === "Bearer x"));
  }));

test("a line that brings nothing more is asked ever more rarely", () =>
  withStand({ "POST /ag-ui": line((count) => (count === 1 ? 9 : 0)), "POST /ag-ui/r1/cancel": stopped }, async (url, stand) => {
    const left = new AbortController();
    const response = await createRunwireFetch()(url, { ...INIT, signal: left.signal });
    const reading = read(response).catch((reason) => reason);
    while (stand.requests("POST", "/ag-ui").length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 2000));
    assert.ok(stand.requests("POST", "/ag-ui").length <= 12);
    left.abort();
    assert.equal((await reading).name, "AbortError");
    while (!stand.requests("POST", "/ag-ui/r1/cancel").length) await new Promise((resolve) => setTimeout(resolve, 20));
  }));

for (const [name, first] of Object.entries({
  "a 503 with Retry-After": (answer) => answer.problem(503, "unavailable", { "Retry-After": "1" }),
  "a page of HTML": (answer) => answer.html(200),
  "a page of a gateway": (answer) => answer.html(502),
  "a connection that breaks": (answer) => answer.response.destroy(),
})) {
  test(`${name} is tried again`, () => {
    const good = line(() => 99);
    return withStand({ "POST /ag-ui": (answer, asked) => (asked.count === 1 ? first : good)(answer, asked) }, async (url, stand) => {
      assert.deepEqual(await read(await createRunwireFetch()(url, INIT)), EVENTS);
      const [one, two] = stand.requests("POST", "/ag-ui");
      assert.ok(name.includes("Retry-After") ? two.at - one.at >= 990 : two);
    });
  });
}

test("a refusal for good is the answer", () =>
  withStand({ "POST /ag-ui": (answer) => answer.problem(403, "forbidden") }, async (url, stand) => {
    const response = await createRunwireFetch()(url, INIT);
    assert.equal(response.status, 403);
    assert.equal((await response.json()).code, "forbidden");
    assert.equal(stand.of("request").length, 1);
  }));

test("a stream without ids is read as it comes, and its run is not started twice", () =>
  withStand({ "POST /ag-ui": line(() => 9, { ids: false }) }, async (url, stand) => {
    await assert.rejects(read(await createRunwireFetch()(url, INIT)));
    assert.equal(stand.of("request").length, 1);
  }));

test("a silent line is given up", () => {
  const good = line(() => 99);
  const script = { "POST /ag-ui": (answer, asked) => {
    if (asked.count > 1) return good(answer, asked);
    answer.response.writeHead(200, { "Content-Type": "text/event-stream" }).write(`id: 1\ndata: ${JSON.stringify(EVENTS[0])}\n\n`);
  } }; // prettier-ignore
  return withStand(script, async (url) => {
    assert.deepEqual(await read(await createRunwireFetch({ silenceMs: 300 })(url, INIT)), EVENTS);
  });
});

for (const [name, headers, path] of [
  ["below the URL", {}, "/ag-ui/r1/cancel"],
  ["beside the Location", { Location: "/v1/runs/abc/events" }, "/v1/runs/abc/cancel"],
  ["below the URL where the Location is another origin's", { Location: "http://127.0.0.1:9/v1/runs/abc/events" }, "/ag-ui/r1/cancel"],
]) {
  test(`an abort stops the run ${name}, also when the first attempt is lost`, () => {
    let tries = 0;
    const script = {
      "POST /ag-ui": (answer) => {
        answer.response.writeHead(200, { "Content-Type": "text/event-stream", ...headers }).write(`id: 1\ndata: ${JSON.stringify(EVENTS[0])}\n\n`);
      },
      [`POST ${path}`]: (answer) => (++tries === 1 ? answer.response.destroy() : answer.json(200, { status: "running" })),
    };
    return withStand(script, async (url, stand) => {
      const left = new AbortController();
      const response = await createRunwireFetch()(url, { ...INIT, signal: left.signal });
      const reader = response.body.getReader();
      await reader.read();
      left.abort();
      await assert.rejects(reader.read(), { name: "AbortError" });
      while (stand.requests("POST", path).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(stand.requests("POST", path)[1].headers.authorization, "Bearer x");
      assert.equal(stand.requests("POST", "/ag-ui").length, 1);
    });
  });
}

test("other requests are passed on", () =>
  withStand({ "GET /ag-ui": (answer) => answer.json(200, { a: 1 }) }, async (url) => {
    assert.deepEqual(await (await createRunwireFetch()(url)).json(), { a: 1 });
  }));
