// What goes wrong, and how long a server asks to be left alone.

/** What went wrong, as the server said it. `retryable` decides whether to try again [ERR-6]. */
export class RunwireError extends Error {
  constructor(message, { code = "internal", retryable = false, retryAfterMs = 0, status = 0 } = {}) {
    super(message);
    Object.assign(this, { name: "RunwireError", code, retryable, retryAfterMs, status });
  }
}

/** What an `error` without `seq` says: the refusal of a message. */
export function refusalOf({ data, code, retryable, retry_after_ms }) {
  const retryAfterMs = positive(retry_after_ms);
  return new RunwireError(String(data), { code, retryable: retryable === true, retryAfterMs });
}

/**
 * What an answer that is no 2xx says. One that is no problem document was written by something on the way, which a
 * new attempt can mend; from where no Runwire server was seen yet (`isHere`) only if its status says so.
 */
export async function problemOf(response, { isHere = true } = {}) {
  const { status } = response;
  const body = jsonObject(await response.text());
  const retryAfterMs = Math.max(positive(body?.retry_after_ms), retryAfter(response.headers.get("Retry-After")));
  if (typeof body?.code === "string") {
    const { code, retryable } = body;
    const text = body.detail ?? body.title ?? `status ${status}`;
    return new RunwireError(text, { code, retryable: retryable === true, retryAfterMs, status });
  }
  const code = { 401: "unauthorized", 403: "forbidden" }[status] ?? "internal";
  const retryable = code === "internal" && (status >= 500 || status === 429 || isHere);
  return new RunwireError(`status ${status}`, { code, retryable, retryAfterMs, status });
}

/** The JSON object that a text holds, or null. */
export function jsonObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** The milliseconds that a header `Retry-After` names, in seconds or as a date. */
function retryAfter(text) {
  if (!text) return 0;
  return positive(/^\s*\d+\s*$/.test(text) ? 1000 * Number(text) : Date.parse(text) - Date.now());
}

function positive(milliseconds) {
  return milliseconds > 0 ? milliseconds : 0;
}
