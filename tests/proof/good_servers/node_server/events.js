// Makes events fit to be sent: whole characters, no larger and no deeper than advertised.

import { limits } from "./limits.js";

/** Room for what is added when an event is appended. */
const ENVELOPE = 256;

/** Bytes of the longest character in a JSON text, such as U+0001. */
const MOST_PER_CHARACTER = 6;

/** Returns the member of an event whose text may be divided. */
export function textOf(event) {
  if (event.partial) return "content";
  return { token: "data", replace: "data", thinking: "content", tool_delta: "data" }[event.type];
}

const bytesOf = (value) => Buffer.byteLength(JSON.stringify(value));

/**
 * Returns a value without halves of characters, and with integers that no double holds as strings [MSG-35].
 * Numbers beyond all bounds become `null` in JSON.stringify.
 */
export function clean(value) {
  if (typeof value === "string") return value.toWellFormed();
  if (Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(String(value))) return String(value);
  if (Array.isArray(value)) return value.map(clean);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name.toWellFormed(), clean(inner)]));
}

function isDeep(value) {
  let level = [value];
  for (let depth = 0; depth < limits.json_depth; depth++) {
    level = level.flatMap((outer) => Object.values(outer)).filter((part) => typeof part === "object" && part !== null);
  }
  return level.length > 0;
}

/** Returns the longest beginning of a text whose JSON form has at most `room` bytes, in whole characters. */
function cut(text, room) {
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (bytesOf(text.slice(0, middle)) - 2 <= room) low = middle;
    else high = middle - 1;
  }
  const piece = text.slice(0, low);
  return piece.isWellFormed() ? piece : piece.slice(0, -1);
}

/** Yields an event, or those that mean the same, in sizes that may be sent; nothing when there is no such way. */
export function* fitted(event) {
  const room = limits.max_event_bytes - ENVELOPE;
  const member = textOf(event);
  if (!isDeep(event) && bytesOf(event) <= room) {
    if (event.type !== "token" || event.data !== "") yield event;
  } else if (member) {
    let type = event.type;
    const left = room - bytesOf({ ...event, [member]: "" });
    if (left < MOST_PER_CHARACTER) return;
    for (let text = event[member]; text !== ""; ) {
      const piece = cut(text, left);
      yield { ...event, type, [member]: piece };
      text = text.slice(piece.length);
      if (type === "replace") type = "token";
    }
  } else if (event.type === "observation") {
    const rest = { ...event, content: "", truncated: true };
    if (room - bytesOf(rest) < MOST_PER_CHARACTER) return;
    yield { ...rest, content: cut(JSON.stringify(event.content), room - bytesOf(rest)) };
  }
}

/** Holds back the first half of a character until the agent goes on with that text [EVENT-31, EVENT-32]. */
export class Halves {
  #held = new Map();

  /** Returns the events that can be appended now that this one has come. */
  join(event) {
    const member = textOf(event);
    const ready = this.#given(
      event.type === "replace" ? (held) => held.type === "token" : (held) => !member && held.call_id === event.call_id,
    );
    if (!member) return [...ready, event];
    const beside = { ...event, [member]: "", ...(event.type === "replace" && { type: "token" }) };
    const key = JSON.stringify(Object.entries(beside).sort());
    const text = (this.#held.get(key)?.[member] ?? "") + event[member];
    this.#held.delete(key);
    const half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? "";
    if (half) this.#held.set(key, { ...beside, [member]: half });
    const whole = text.slice(0, text.length - half.length);
    return half && !whole && event.type !== "replace" ? ready : [...ready, { ...event, [member]: whole }];
  }

  /** Returns the halves that no other followed. */
  rest() {
    return this.#given(() => true);
  }

  #given(concerned) {
    const given = [...this.#held].filter(([, held]) => concerned(held));
    for (const [key] of given) this.#held.delete(key);
    return given.map(([, held]) => held);
  }
}
