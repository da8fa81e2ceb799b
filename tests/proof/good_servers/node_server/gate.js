// Who may come in, how many at once, and how a request or handshake is refused: with a status, a code and a text.

import { STATUS_CODES } from "node:http";
import { limits, Refusal } from "./limits.js";

const LOOPBACK = String.raw`(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?`;
const HOST = new RegExp(`^${LOOPBACK}$`, "i");
const ORIGIN = new RegExp(`^https?://${LOOPBACK}$`);

/** Throws Refusal for a foreign Host or Origin [ORIGIN-1, ORIGIN-4]; returns the origin. */
export function admit(request) {
  const { host = [], origin = [] } = request.headersDistinct;
  if (host.length !== 1 || !HOST.test(host[0])) throw new Refusal("forbidden", "not known by that name");
  if (origin.length > 1 || (origin.length === 1 && !ORIGIN.test(origin[0]))) {
    throw new Refusal("forbidden", "pages of this origin are not admitted");
  }
  return origin[0];
}

/** Returns the headers and the body of a refusal [HTTP-12]. */
export function problem(refusal) {
  const { status, code, message, retryable } = refusal;
  const body = JSON.stringify({ title: STATUS_CODES[status], status, detail: message, code, retryable });
  const headers = {
    ...refusal.headers,
    ...((status === 429 || status === 503) && { "Retry-After": "1" }),
    "Content-Type": "application/problem+json",
    "Content-Length": Buffer.byteLength(body),
  };
  return { status, headers, body };
}

const taken = new Map();

/** Throws Refusal when an address has as many connections and streams as it may [LIMIT-1]. */
export function checkPlace(address) {
  if ((taken.get(address) ?? 0) >= limits.connections_per_principal) throw new Refusal("busy", "too many connections");
}

/** Says whether no connection or stream is left. */
export const areAllFree = () => [...taken.values()].every((count) => count === 0);

/** Takes a place; returns the function that gives it back, once. */
export function takePlace(address) {
  taken.set(address, (taken.get(address) ?? 0) + 1);
  let isTaken = true;
  return () => {
    if (isTaken) taken.set(address, taken.get(address) - 1);
    isTaken = false;
  };
}
