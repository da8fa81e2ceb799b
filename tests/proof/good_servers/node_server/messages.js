// Reads what a client sends: first as JSON to the letter, then as one of the messages the server knows.

import { limits, Refusal } from "./limits.js";

const TRACEPARENT = /^(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/s;
const CHOSEN = /^[A-Za-z0-9_-]{21,64}$/;

/** The text is no JSON object, so that nothing sensible can follow on the connection. */
export class NoMessage extends Error {}

export const isText = (value) => typeof value === "string";
const isName = (most) => (value) => isText(value) && value.length > 0 && [...value].length <= most;
export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isChosen = (value) => isText(value) && CHOSEN.test(value);

const MEMBERS = {
  id: isName(64),
  prompt: isText,
  run_id: isChosen,
  session_id: isChosen,
  inputs: isObject,
  on_disconnect: (value) => ["grace", "cancel", "continue"].includes(value),
  traceparent: (value) => traceIdOf(value) !== undefined,
  after: (value) => Number.isSafeInteger(value) && value >= 0,
  epoch: (value) => isText(value) && /^[A-Za-z0-9_-]{1,64}$/.test(value),
  request_id: isName(256),
  data: () => true,
};

/** The members that each type must have, and those that it can have. */
const TYPES = {
  start: [["prompt"], ["id", "run_id", "session_id", "inputs", "on_disconnect", "traceparent"]],
  resume: [["run_id", "after"], ["id", "epoch"]],
  cancel: [[], ["id", "run_id"]],
  heartbeat: [[], ["id"]],
  input: [["run_id", "request_id", "data"], ["id"]],
};

/** Returns the trace id of a valid `traceparent`. */
export function traceIdOf(traceparent) {
  return isText(traceparent) ? TRACEPARENT.exec(traceparent)?.[1] : undefined;
}

/**
 * Returns the object that a text holds, and what is wrong with it beside.
 * Throws NoMessage for what closes the connection with 4400.
 */
export function read(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new NoMessage("no JSON text");
  }
  if (!isObject(value)) throw new NoMessage("no object");
  return { value, wrong: flawOf(text) };
}

/**
 * Walks a valid JSON text for what JSON.parse lets pass: deep nesting, repeated names, halves of characters, and a
 * cursor that is not written as an integer [MSG-33].
 */
function flawOf(text) {
  const names = [];
  let depth = 0;
  let isName = false;
  let name = "";
  for (let place = 0; place < text.length; place++) {
    const character = text[place];
    if (character === '"') {
      const begin = place++;
      while (text[place] !== '"') place += text[place] === "\\" ? 2 : 1;
      const word = JSON.parse(text.slice(begin, place + 1));
      if (!word.isWellFormed()) return "a string holds a lone surrogate";
      if (isName && names.at(-1).has(word)) return "a member name is repeated in one object";
      if (isName) names.at(-1).add((name = word));
      isName = false;
    } else if (character === "{" || character === "[") {
      if (++depth > limits.json_depth) return `nested deeper than ${limits.json_depth}`;
      names.push(character === "{" ? new Set() : undefined);
      isName = character === "{";
    } else if (character === "}" || character === "]") {
      depth--;
      names.pop();
    } else if (character === ",") {
      isName = names.at(-1) !== undefined;
    } else if (/[-\d]/.test(character)) {
      const [digits] = /^[-+.\deE]+/.exec(text.slice(place, place + 400));
      if (depth === 1 && name === "after" && !/^\d+$/.test(digits)) return "after is not written as an integer";
      place += digits.length - 1;
    }
  }
  return undefined;
}

/** Returns the type of a message that is valid; throws Refusal for one that is not. */
export function understand(value, wrong) {
  if (wrong) throw new Refusal("bad_request", wrong);
  const type = Object.hasOwn(value, "type") ? value.type : Object.hasOwn(value, "prompt") ? "start" : undefined;
  if (!isText(type) || type === "") throw new Refusal("bad_request", "a message has a type, or a prompt");
  check(Object.hasOwn(TYPES, type) ? type : "heartbeat", value);
  return type;
}

/** Throws Refusal when a value breaks the schema of a type. */
export function check(type, value) {
  const [required, optional] = TYPES[type];
  for (const name of [...required, ...optional.filter((name) => Object.hasOwn(value, name))]) {
    if (!Object.hasOwn(value, name) || !MEMBERS[name](value[name])) {
      throw new Refusal("bad_request", `${name} is missing or malformed`);
    }
  }
}

/** Returns `re` for the answer to a message, also to one that is refused, when its `id` can be repeated. */
export function answering(value) {
  return MEMBERS.id(value?.id) && value.id.isWellFormed() ? { re: value.id } : {};
}

/** Says whether two values are equal as JSON. */
export function same(one, other) {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  const names = Object.keys(one);
  return (
    Array.isArray(one) === Array.isArray(other) &&
    names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && same(one[name], other[name]))
  );
}
