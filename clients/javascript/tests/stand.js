// A small server that plays a script: HTTP and WebSocket on a free port of the loopback interface. It notes when what
// arrived, so that a test can judge a client by the wire alone.

import { createHash } from "node:crypto";
import { createServer } from "node:http";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

export class Stand {
  /** What arrived: `{at, kind, ...}` with `at` in ms; kinds are `request`, `handshake`, `message` and `close`. */
  wire = [];

  /** `script` may hold `discovery` (members to change, or a handler), `websocket(connection, n)`, and handlers `"GET /path"`. */
  static async open(script = {}) {
    const stand = new Stand();
    stand.script = script;
    stand.server = createServer((request, response) => stand.#answer(request, response));
    stand.server.on("upgrade", (request, socket) => stand.#upgrade(request, socket));
    await new Promise((resolve) => stand.server.listen(0, "127.0.0.1", resolve));
    stand.url = `http://127.0.0.1:${stand.server.address().port}`;
    return stand;
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
  }

  of(kind) {
    return this.wire.filter((entry) => entry.kind === kind);
  }

  /** The requests to one path. */
  requests(method, path) {
    return this.of("request").filter((entry) => entry.method === method && entry.path.split("?")[0] === path);
  }

  /** The messages of one type that the client sent over WebSockets. */
  messages(type) {
    return this.of("message").map(({ at, message }) => ({ at, ...message })).filter((message) => message.type === type);
  }

  #sockets = new Set();

  #note(kind, members) {
    this.wire.push({ at: performance.now(), kind, ...members });
  }

  async #answer(request, response) {
    let body = "";
    for await (const piece of request) body += piece;
    for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value);
    if (request.method === "OPTIONS") return response.writeHead(204).end();
    const [path] = request.url.split("?");
    this.#note("request", { method: request.method, path: request.url, headers: request.headers, body });
    const handler = this.script[`${request.method} ${path}`] ?? this.script[`${request.method} *`];
    const count = this.requests(request.method, path).length;
    if (handler && !(path === "/.well-known/runwire" && handler === this.script["GET *"])) {
      return handler(new Answer(response), { headers: request.headers, body, path: request.url, count });
    }
    if (path === "/.well-known/runwire") {
      const { discovery = {} } = this.script;
      if (typeof discovery === "function") return discovery(new Answer(response), { headers: request.headers, count });
      return new Answer(response).json(200, { ...DISCOVERY, ...discovery });
    }
    new Answer(response).problem(404, "not_found");
  }

  #upgrade(request, socket) {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    const { "sec-websocket-key": key, "sec-websocket-protocol": protocols = "", authorization } = request.headers;
    const token = /^Bearer (.*)$/.exec(authorization)?.[1]; // what no browser can send says the same
    const offered = token ? `${protocols}, bearer.${Buffer.from(token).toString("base64url")}` : protocols;
    this.#note("handshake", { path: request.url, offered });
    const count = this.of("handshake").length;
    if (!this.script.websocket) return socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    const connection = new Connection(socket, (kind, members) => this.#note(kind, { connection: count, ...members }));
    connection.accept = () => {
      const accept = createHash("sha1").update(key + GUID).digest("base64");
      const protocol = offered.includes("runwire.v1") ? "Sec-WebSocket-Protocol: runwire.v1\r\n" : "";
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${protocol}\r\n`,
      );
    };
    this.script.websocket(connection, { count, offered, stand: this });
  }
}

/** A page of any origin may ask. */
const CORS = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID",
  "Access-Control-Expose-Headers": "Retry-After",
};

export const DISCOVERY = {
  protocol: "runwire",
  versions: [1],
  endpoints: { websocket: "/ws/generate", runs: "/v1/runs" },
  features: ["resume", "sse"],
  limits: { heartbeat_s: 15, max_message_bytes: 65536 },
  auth: ["none"],
};

/** One answer over HTTP. */
class Answer {
  constructor(response) {
    this.response = response;
  }

  json(status, value, headers = {}) {
    this.send(status, { "Content-Type": "application/json", ...headers }, JSON.stringify(value));
  }

  html(status) {
    this.send(status, { "Content-Type": "text/html" }, "<h1>a gateway speaks</h1>");
  }

  problem(status, code, headers = {}, members = {}) {
    const body = { title: code, status, code, retryable: status === 429 || status >= 500, ...members };
    this.send(status, { "Content-Type": "application/problem+json", ...headers }, JSON.stringify(body));
  }

  send(status, headers, body) {
    this.response.writeHead(status, headers).end(body);
  }

  /** Begin a stream; returns what writes messages to it. */
  stream(run) {
    this.response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    this.response.flushHeaders();
    const say = (message) => {
      const id = message.seq === undefined ? "" : `id: ${run.epoch}.${message.seq}\n`;
      this.response.write(`${id}data: ${JSON.stringify(message)}\n\n`);
    };
    return { say, raw: (text) => this.response.write(text), end: () => this.response.end(), break: () => this.response.destroy() };
  }
}

/** One WebSocket connection. */
class Connection {
  onmessage = () => {};

  constructor(socket, note) {
    this.socket = socket;
    let held = Buffer.alloc(0);
    socket.on("data", (data) => {
      held = Buffer.concat([held, data]);
      for (let frame; (frame = frameOf(held)); held = held.subarray(frame.size)) {
        if (frame.opcode === 1) {
          const message = JSON.parse(frame.payload.toString());
          note("message", { message });
          this.onmessage(message);
        } else if (frame.opcode === 8) {
          note("close", { code: frame.payload.length ? frame.payload.readUInt16BE() : 1005 });
          this.close(1000);
        }
      }
    });
  }

  /** Accept the handshake and send `ready`. */
  greet(members = {}) {
    this.accept();
    this.say({ type: "ready", protocol: "runwire", version: 1, connection_id: "c", trace_id: "0".repeat(31) + "1",
      limits: DISCOVERY.limits, features: DISCOVERY.features, ...members }); // prettier-ignore
  }

  say(message) {
    this.raw(JSON.stringify(message));
  }

  raw(text) {
    if (this.socket.writable) this.socket.write(frame(1, Buffer.from(text)));
  }

  close(code) {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    if (this.socket.writable) this.socket.end(frame(8, payload));
  }

  /** Break off without a word. */
  break() {
    this.socket.destroy();
  }
}

function frame(opcode, payload) {
  const size = payload.length < 126 ? Buffer.from([payload.length]) : Buffer.from([126, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([Buffer.from([0x80 | opcode]), size, payload]);
}

/** The first frame of some bytes, or null when it has not all arrived. */
function frameOf(bytes) {
  if (bytes.length < 2) return null;
  const short = bytes[1] & 127;
  const begin = 2 + ({ 126: 2, 127: 8 }[short] ?? 0);
  if (bytes.length < begin + 4) return null;
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const size = begin + 4 + length;
  if (bytes.length < size) return null;
  const mask = bytes.subarray(begin, begin + 4);
  const payload = Buffer.from(bytes.subarray(begin + 4, size).map((byte, place) => byte ^ mask[place % 4]));
  return { opcode: bytes[0] & 15, payload, size };
}
