// What this server states about itself: limits, features, and the codes of its errors.

export const FEATURES = ["robust", "resume", "sse"];

/** Every limit of the registry; names ending in `_s` are seconds, in `_ms` milliseconds. */
export const limits = {
  max_message_bytes: 1048576,
  max_event_bytes: 262144,
  json_depth: 32,
  connections_per_principal: 10,
  runs_per_connection: 4,
  runs_per_principal: 100,
  idle_s: 3600,
  run_s: 600,
  input_s: 600,
  heartbeat_s: 15,
  pong_timeout_s: 20,
  detach_grace_s: 30,
  resume_window_s: 300,
  cancel_quiet_ms: 500,
  cancel_deadline_ms: 2000,
  send_buffer_bytes: 1048576,
  log_bytes: 16777216,
  kept_bytes_per_principal: 268435456,
  worker_lost_s: 30,
  drain_s: 30,
};

/** The HTTP status of each code that refuses something. */
export const STATUS = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  input_expired: 410,
  payload_too_large: 413,
  unsupported: 415,
  busy: 429,
  rate_limited: 429,
  internal: 500,
  unavailable: 503,
};

export const RETRYABLE = new Set([
  "busy", "rate_limited", "internal", "unavailable", "timeout", "upstream_error", "worker_lost",
]);

/** Codes whose `retryable` a server may know better. */
export const OVERRIDABLE = new Set(["internal", "timeout", "content_filtered", "agent_error", "upstream_error"]);

/** Says whether a code may end a run. */
export const isTerminalCode = (code) =>
  ["payload_too_large", "worker_lost"].includes(code) || OVERRIDABLE.has(code) || /^[^:]+:./s.test(code);

/** A message or request that has no effect. */
export class Refusal extends Error {
  constructor(code, text, { status, headers } = {}) {
    super(text);
    this.code = code;
    this.status = status ?? STATUS[code];
    this.headers = headers ?? {};
    this.retryable = RETRYABLE.has(code);
  }
}

/** Reads `--name=value` for every limit; returns the port. */
export function readCommandLine(words) {
  let port = 8080;
  for (const word of words) {
    const [, name, value] = /^--([a-z-]+)=(.+)$/.exec(word) ?? [];
    const limit = name?.replaceAll("-", "_");
    if (name === "port") port = Number(value);
    else if (limit in limits && Number(value) >= 0) limits[limit] = Number(value);
    else throw new Error(`unknown option ${word}; there are --port=N and ${Object.keys(limits).join(", ")}`);
  }
  return port;
}
