// The same runs over HTTP: starting, reading, cancelling, and the stream of server-sent events.

import { admit, checkPlace, problem, takePlace } from "./gate.js";
import { limits, FEATURES, Refusal } from "./limits.js";
import { check, NoMessage, read, traceIdOf } from "./messages.js";
import { begin, get } from "./service.js";

const PIECE = 4096;

/** How each path is served, by method. */
const ROUTES = [
  [/^\/\.well-known\/runwire$/, { GET: discover }],
  [/^\/ws\/generate$/, { GET: noWebSocket }],
  [/^\/v1\/runs$/, { POST: start }],
  [/^\/v1\/runs\/([^/]+)$/, { GET: status }],
  [/^\/v1\/runs\/([^/]+)\/events$/, { GET: events }],
  [/^\/v1\/runs\/([^/]+)\/cancel$/, { POST: cancel }],
];

/** Answers one request. */
export async function answer(request, response) {
  response.on("error", () => {});
  request.on("error", () => {});
  const [path] = request.url.split("?");
  if (path.startsWith("/v1/runs")) response.setHeader("Cache-Control", "no-store");
  response.setHeader("Vary", "Origin");
  try {
    const origin = admit(request);
    if (origin !== undefined) {
      response.setHeader("Access-Control-Allow-Origin", origin);
      response.setHeader("Access-Control-Expose-Headers", "Location, Retry-After, WWW-Authenticate");
    }
    const [route, methods] = ROUTES.find(([pattern]) => pattern.test(path)) ?? [];
    if (!route) throw new Refusal("not_found", "nothing is served here");
    if (origin !== undefined && request.method === "OPTIONS" && request.headers["access-control-request-method"]) {
      return preflight(response);
    }
    if (!Object.hasOwn(methods, request.method)) {
      const headers = { Allow: Object.keys(methods).join(", ") };
      throw new Refusal("unsupported", "this method is not served here", { status: 405, headers });
    }
    await methods[request.method](request, response, route.exec(path)[1]);
  } catch (error) {
    const known = error instanceof Refusal ? error : new Refusal("internal", "a fault of the server");
    if (response.headersSent) return response.destroy();
    const { status: code, headers, body } = problem(known);
    response.writeHead(code, headers).end(body);
    request.resume();
  }
}

function preflight(response) {
  const headers = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Content-Type, Accept, Authorization, Last-Event-ID",
  };
  response.writeHead(204, headers).end();
}

function sendJson(response, code, value, headers = {}) {
  response.writeHead(code, { ...headers, "Content-Type": "application/json" }).end(JSON.stringify(value));
}

function discover(request, response) {
  sendJson(response, 200, {
    protocol: "runwire",
    versions: [1],
    endpoints: { websocket: "../ws/generate", runs: "../v1/runs" },
    features: FEATURES,
    limits,
    auth: ["none"],
    script_agent: true,
    server: { name: "good-node", version: "1.0" },
  });
}

function noWebSocket() {
  throw new Refusal("unsupported", "this is a WebSocket", { status: 426, headers: { Upgrade: "websocket" } });
}

/** Returns the weight of each media range of an Accept header. */
function acceptOf(request) {
  const found = new Map();
  for (const part of (request.headers.accept ?? "").toLowerCase().split(",")) {
    const [media, ...parameters] = part.split(";").map((piece) => piece.trim());
    const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))?.split("=")[1];
    if (media !== "") found.set(media, weight === undefined ? 1 : Number(weight) || 0);
  }
  return found;
}

/** Returns the object in the body of a POST [HTTP-9 to HTTP-11]. */
async function objectOf(request, mayBeEmpty = false) {
  const [type] = (request.headers["content-type"] ?? "").split(";");
  if (type.trim().toLowerCase() !== "application/json") {
    throw new Refusal("unsupported", "Content-Type has to be application/json");
  }
  const chunks = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > limits.max_message_bytes) throw new Refusal("payload_too_large", "the body is too large");
    chunks.push(chunk);
  }
  if (size === 0 && mayBeEmpty) return {};
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
    const { value, wrong } = read(text);
    if (wrong) throw new Refusal("bad_request", wrong);
    return value;
  } catch (error) {
    if (error instanceof NoMessage || error instanceof TypeError) throw new Refusal("bad_request", "no JSON object");
    throw error;
  }
}

async function start(request, response) {
  const value = await objectOf(request);
  if ((value.type ?? "start") !== "start" || value.type === null) throw new Refusal("bad_request", "no start");
  check("start", value);
  const isStream = acceptOf(request).get("text/event-stream") > 0;
  if (isStream) checkPlace(request.socket.remoteAddress);
  const { traceparent = [] } = request.headersDistinct;
  const { run, isNew } = begin(value, traceparent.length === 1 ? traceIdOf(traceparent[0]) : undefined);
  const headers = { Location: `runs/${run.id}/events` };
  if (!isStream) return sendJson(response, 202, { run_id: run.id, epoch: run.epoch, status: run.status }, headers);
  await stream(request, response, run, 0, isNew ? [run.started()] : [run.started(), run.resumed(0)], headers);
}

function status(request, response, runId) {
  const { id, epoch, status, log, text } = get(runId);
  sendJson(response, 200, { run_id: id, epoch, status, seq: log.length, text });
}

async function cancel(request, response, runId) {
  await objectOf(request, true);
  const run = get(runId);
  run.cancel("user");
  sendJson(response, 200, { run_id: run.id, status: run.status, seq: run.log.length });
}

async function events(request, response, runId) {
  const accept = acceptOf(request);
  const range = ["text/event-stream", "text/*", "*/*"].find((media) => accept.has(media));
  if (accept.size > 0 && !(accept.get(range) > 0)) {
    throw new Refusal("unsupported", "the stream is text/event-stream", { status: 406 });
  }
  const [run, after] = cursorOf(request, runId);
  if (run.finished && after === run.log.length) return response.writeHead(204).end();
  checkPlace(request.socket.remoteAddress);
  await stream(request, response, run, after, [run.resumed(after)], {});
}

/** Returns the run that a request names and the cursor on it; throws Refusal [SSE-14 to SSE-18]. */
function cursorOf(request, runId) {
  const query = new URLSearchParams(request.url.split("?")[1] ?? "").getAll("after").filter((text) => text !== "");
  const header = (request.headersDistinct["last-event-id"] ?? []).filter((text) => text !== "");
  const given = header.length > 0 ? header : query.length > 0 ? query : ["0"];
  const [, epoch, digits] = /^(?:([A-Za-z0-9_-]{1,64})\.)?(0|[1-9][0-9]{0,15})$/.exec(given[0]) ?? [];
  if (given.length > 1 || !Number.isSafeInteger(Number(digits))) throw new Refusal("bad_request", "no cursor");
  const run = get(runId);
  if (epoch !== undefined && epoch !== run.epoch) throw new Refusal("not_found", "this log is gone");
  if (Number(digits) > run.log.length) throw new Refusal("bad_request", "the cursor is beyond the end of the log");
  return [run, Number(digits)];
}

/** Sends a run from a cursor until it ends, the client leaves, or the client takes nothing. */
async function stream(request, response, run, after, first, headers) {
  const leavePlace = takePlace(request.socket.remoteAddress);
  let [isGone, byServer, wakeUp, goOn] = [false, false, () => {}, () => {}];
  const wake = () => wakeUp();
  run.attach(wake);
  response.on("close", () => {
    isGone = true;
    leavePlace();
    run.detach(wake, byServer);
    wake();
    goOn();
  });
  const send = async (text) => {
    const body = Buffer.from(text);
    for (let place = 0; place < body.length && !isGone; place += PIECE) {
      // A client that takes nothing for so long has its response ended [SSE-20].
      const timer = setTimeout(() => ((byServer = true), response.destroy()), limits.pong_timeout_s * 1000);
      await new Promise((resolve) => {
        goOn = resolve;
        response.write(body.subarray(place, place + PIECE), resolve);
      });
      clearTimeout(timer);
    }
  };
  response.writeHead(200, {
    ...headers,
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
  });
  await send(`retry: 2000\nid: ${run.epoch}.${after}\n\n`);
  for (const message of first) await send(`data: ${JSON.stringify(message)}\n\n`);
  for (let cursor = after; !isGone; ) {
    if (cursor < run.log.length) {
      cursor++;
      await send(`id: ${run.epoch}.${cursor}\ndata: ${run.log[cursor - 1]}\n\n`);
    } else if (run.finished) {
      return response.end();
    } else {
      const isSilent = await new Promise((resolve) => {
        const timer = setTimeout(() => resolve(true), 900 * limits.heartbeat_s);
        wakeUp = () => (clearTimeout(timer), resolve(false));
      });
      if (isSilent) await send('data: {"type":"heartbeat"}\n\n');
    }
  }
}
