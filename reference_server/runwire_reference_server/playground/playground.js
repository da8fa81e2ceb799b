// Shows one run. Everything an agent wrote is put onto the page as text, never as markup (specification, chapter 19).

import { Run } from "./runwire.js";

const MOST_WIRE_LINES = 1000;
const $ = (id) => document.getElementById(id);
let run = null;

$("ask").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  run?.cancel();
  for (const id of ["steps", "answer", "end", "wire"]) $(id).replaceChildren();
  $("run").hidden = false;
  run = new Run($("prompt").value, { token: $("token").value, transport: $("transport").value });
  const steps = new Steps($("steps"));
  const own = run;
  const listen = (type, hear) => own.addEventListener(type, ({ detail }) => own === run && hear(detail));
  listen("event", (event) => show(event, steps));
  listen("anew", () => (steps.clear(), $("answer").replaceChildren()));
  listen("state", ({ state, detail }) => {
    $("state").value = `${own.transport} · ${state} ${detail}`;
    for (const id of ["cancel", "drop"]) $(id).disabled = own.ended !== null;
  });
  listen("wire", ({ direction, text }) => {
    $("wire").append(`${direction} ${text}\n`);
    while ($("wire").childNodes.length > MOST_WIRE_LINES) $("wire").firstChild.remove();
  });
});
$("cancel").addEventListener("click", () => run.cancel());
$("drop").addEventListener("click", () => run.drop());

function show(event, steps) {
  switch (event.type) {
    case "token":
    case "replace":
      $("answer").textContent = run.text;
      break;
    case "thinking":
      steps.growing("thinking").append(event.content);
      break;
    case "tool_delta":
      steps.of(event.call_id, `${event.name} …`).preview(event.data);
      break;
    case "tool_call":
      steps.of(event.call_id, event.name).called(event.name, event.input);
      break;
    case "observation":
      steps.of(event.call_id, "tool").observed(event);
      break;
    case "input_request":
      steps.ask(event);
      break;
    case "input_closed":
      steps.closed(event);
      break;
    case "done":
    case "error":
      $("end").textContent = `${event.status ?? event.code}: ${event.data}`;
  }
}

/** The list of what the agent did besides answering. */
class Steps {
  constructor(list) {
    this.list = list;
    this.clear();
  }

  clear() {
    this.list.replaceChildren();
    this.calls = new Map();
    this.questions = new Map();
    this.last = null;
  }

  add(kind) {
    const item = element("li", { className: kind });
    this.list.append(item);
    this.last = item;
    return item;
  }

  growing(kind) {
    return this.last?.className === kind ? this.last : this.add(kind);
  }

  of(callId, name) {
    if (!this.calls.has(callId)) this.calls.set(callId, new Call(this.add("tool"), name));
    return this.calls.get(callId);
  }

  ask({ request_id, kind, data, schema }) {
    const item = this.add("input");
    item.append(element("b", { textContent: data ?? "The agent asks." }), " ");
    const reply = (value) => run.answer(request_id, value);
    if (kind === "approval") {
      item.append(button("Yes", () => reply(true)), " ", button("No", () => reply(false)));
    } else {
      const field = element("input", { placeholder: schema ? JSON.stringify(schema) : "" });
      item.append(field, " ", button("Answer", () => reply(kind === "form" ? JSON.parse(field.value) : field.value)));
    }
    this.questions.set(request_id, item);
  }

  closed({ request_id, outcome }) {
    const item = this.questions.get(request_id);
    for (const part of item?.querySelectorAll("button, input") ?? []) part.disabled = true;
    item?.append(` ${outcome}`);
  }
}

/** One call of a tool, with what it gave. */
class Call {
  constructor(item, name) {
    this.name = element("b", { textContent: name });
    this.input = element("pre");
    this.output = element("pre");
    item.append(this.name, this.input, this.output);
  }

  preview(text) {
    this.input.append(text);
  }

  called(name, input) {
    this.name.textContent = name;
    this.input.textContent = readable(input);
  }

  observed({ content, partial, is_error }) {
    if (partial) return this.output.append(content);
    const text = typeof content === "string" ? content : readable(content);
    this.output.textContent = `${is_error ? "failed: " : ""}${text}`; // [EVENT-16] it supersedes the partial ones
  }
}

/** JSON on one line while it fits. */
function readable(value) {
  const line = JSON.stringify(value);
  return line.length <= 120 ? line : JSON.stringify(value, null, 1);
}

function element(name, members = {}) {
  return Object.assign(document.createElement(name), members);
}

function button(text, act) {
  const made = element("button", { type: "button", textContent: text });
  made.addEventListener("click", act);
  return made;
}
