// Starts the server: node server.js --port=8080

import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { Connection } from "./connection.js";
import { admit, areAllFree, checkPlace, problem, takePlace } from "./gate.js";
import { answer } from "./http.js";
import { limits, readCommandLine, Refusal } from "./limits.js";
import { drain } from "./service.js";

const port = readCommandLine(process.argv.slice(2));
const connections = new Set();
let drained = false;
const server = createServer({ requireHostHeader: false }, answer);
const sockets = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: limits.max_message_bytes,
  handleProtocols: (offered) => (offered.has("runwire.v1") ? "runwire.v1" : false),
});

/** Refuses a handshake with a status and a problem body [AUTH-3]. */
function refuse(socket, refusal) {
  const { status, headers, body } = problem(refusal);
  const lines = Object.entries({ ...headers, Connection: "close" }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.join("")}\r\n${body}`);
}

function checkHandshake(request) {
  admit(request);
  const offered = request.headersDistinct["sec-websocket-protocol"]?.join(",").split(",").map((name) => name.trim());
  if (request.url.split("?")[0] !== "/ws/generate") throw new Refusal("not_found", "no WebSocket lives here");
  if (request.headers.upgrade?.toLowerCase() !== "websocket") {
    throw new Refusal("unsupported", "this is a WebSocket", { status: 426, headers: { Upgrade: "websocket" } });
  }
  if (offered && !offered.includes("runwire.v1")) throw new Refusal("bad_request", "offer runwire.v1, or nothing");
  checkPlace(request.socket.remoteAddress);
}

sockets.on("wsClientError", (error, socket) => refuse(socket, new Refusal("bad_request", error.message)));

server.on("upgrade", (request, socket, head) => {
  socket.on("error", () => {});
  try {
    checkHandshake(request);
  } catch (refusal) {
    return refuse(socket, refusal);
  }
  const leavePlace = takePlace(request.socket.remoteAddress);
  socket.on("close", leavePlace);
  sockets.handleUpgrade(request, socket, head, (websocket) => {
    const connection = new Connection(websocket, request, () => connections.delete(connection));
    connections.add(connection);
    if (drained) connection.close(4000);
  });
});

process.on("SIGTERM", async () => {
  const until = performance.now() + limits.drain_s * 1000;
  for (const connection of connections) {
    connection.sayDraining();
  }
  await drain();
  // Readers that lag are sent the rest of their logs [DRAIN-6].
  await soon(() => [...connections].every((connection) => connection.cursors.size === 0), until);
  drained = true;
  for (const connection of connections) connection.close(4000);
  await soon(() => areAllFree(), until);
  process.exit(0);
});

/** Waits until something is so, until a moment, and a second at least. */
async function soon(isSo, until) {
  const last = Math.max(until, performance.now() + 1000);
  while (performance.now() < last && !isSo()) await new Promise((resolve) => setTimeout(resolve, 20));
}

server.listen(port, "127.0.0.1", () => {
  console.log(`Runwire on Node at http://127.0.0.1:${server.address().port}`);
});
