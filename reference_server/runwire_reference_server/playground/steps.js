// What the agent does besides answering. Everything it wrote is put onto the page as text, never as markup
// (specification, chapter 19).

import { text } from "./texts.js";

export class Steps {
  /** `reply(request_id, data)` answers a question; `announce(text)` tells a screen reader. */
  constructor(list, reply, announce) {
    Object.assign(this, { list, reply, announce });
    this.clear();
  }

  clear() {
    this.list.replaceChildren();
    this.calls = new Map();
    this.questions = new Map();
    this.last = null;
  }

  show(event) {
    switch (event.type) {
      case "thinking":
        return this.#growing(event).append(event.content);
      case "tool_delta":
        return this.#call(event).preview(event);
      case "tool_call":
        return this.#call(event).called(event);
      case "observation":
        return this.#call(event).observed(event);
      case "input_request":
        return this.#ask(event);
      case "input_closed":
        return this.#closed(event);
    }
  }

  /** A new item of the list; what a sub-agent does stands below the call that started it. */
  #add(kind, { agent, parent_call_id }) {
    const item = element("li", { className: kind });
    if (agent !== undefined) item.append(element("span", { className: "agent", textContent: agent }));
    (this.calls.get(parent_call_id)?.children() ?? this.list).append(item);
    return item;
  }

  #growing(event) {
    const { agent, parent_call_id } = event;
    const { last } = this;
    if (last === null || last.item !== lastItem(this.list) || last.agent !== agent || last.parent !== parent_call_id) {
      const item = this.#add("thinking", event);
      const body = element("span");
      item.append(body);
      this.last = { agent, parent: parent_call_id, item, body };
    }
    return this.last.body;
  }

  #call(event) {
    const { call_id, name = text("tool") } = event;
    if (!this.calls.has(call_id)) {
      const own = event.parent_call_id === call_id ? {} : event;
      this.calls.set(call_id, new Call(this.#add("tool", own), name));
    }
    return this.calls.get(call_id);
  }

  #ask(event) {
    const { request_id, kind, data, schema } = event;
    const item = this.#add("input", event);
    const question = element("b", { textContent: data ?? text("asks"), id: `question-${this.questions.size}` });
    item.append(question);
    const answer = (value) => this.reply(request_id, value);
    if (kind === "approval") {
      item.append(button(text("yes"), () => answer(true)), button(text("no"), () => answer(false)));
    } else {
      item.append(field(kind, schema, question.id, answer));
    }
    this.questions.set(request_id, item);
    this.announce(question.textContent);
  }

  #closed({ request_id, outcome }) {
    const item = this.questions.get(request_id);
    for (const part of item?.querySelectorAll("button, input, textarea") ?? []) part.disabled = true;
    item?.append(element("em", { textContent: text(outcome) }));
  }
}

/** One call of a tool, with what it gave and what its sub-agents did. */
class Call {
  #input = element("pre");
  #output = element("pre");
  #below = null;

  constructor(item, name) {
    this.item = item;
    this.name = element("b", { textContent: `${name} …` });
    item.append(this.name, this.#input, this.#output);
  }

  children() {
    this.#below ??= element("ol");
    this.#output.before(this.#below);
    return this.#below;
  }

  preview({ data }) {
    this.#input.append(data);
  }

  called({ name, input }) {
    this.name.textContent = name; // [EVENT-17] the preview is void now
    this.#input.textContent = readable(input);
  }

  observed({ content, partial, is_error }) {
    if (partial) return this.#output.append(content);
    const shown = typeof content === "string" ? content : readable(content);
    this.#output.textContent = `${is_error ? text("toolFailed") : ""}${shown}`; // [EVENT-16] it supersedes the partial ones
  }
}

/** A field for an answer; that of a form is JSON. */
function field(kind, schema, labelId, answer) {
  const form = element("form");
  const input = element(kind === "form" ? "textarea" : "input", { required: true });
  input.setAttribute("aria-labelledby", labelId);
  if (schema !== undefined) form.append(element("pre", { textContent: readable(schema) }));
  form.append(input, element("button", { textContent: text("reply") }));
  form.addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    if (kind !== "form") return answer(input.value);
    try {
      answer(JSON.parse(input.value));
    } catch {
      input.setCustomValidity(text("notJson"));
      form.reportValidity();
    }
  });
  input.addEventListener("input", () => input.setCustomValidity(""));
  return form;
}

/** The item that came last, wherever it stands. */
function lastItem(list) {
  return [...list.querySelectorAll("li")].at(-1);
}

/** JSON on one line while it fits. */
function readable(value) {
  const line = JSON.stringify(value);
  return line.length <= 120 ? line : JSON.stringify(value, null, 1);
}

function element(name, members = {}) {
  return Object.assign(document.createElement(name), members);
}

function button(label, act) {
  const made = element("button", { type: "button", textContent: label });
  made.addEventListener("click", act);
  return made;
}
