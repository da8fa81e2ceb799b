// Server-sent events, read as the WHATWG standard has it.

import { RunwireError } from "./problem.js";

const MOST_EVENT_CHARS = 2 ** 24;

/** Reads a stream in pieces, cut anywhere. Lines end with CR LF, CR or LF, and with nothing else. */
export class EventReader {
  #decoder = new TextDecoder(); // drops a byte order mark at the begin
  #line = "";
  #afterCR = false;
  #data = [];
  #id = null;
  #held = 0;

  /** Take some bytes; returns the events `{data, id}` that they complete. `id` is null where an event names none. */
  feed(bytes) {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return [];
    const lines = text.slice(this.#afterCR && text[0] === "\n" ? 1 : 0).split(/\r\n|\r|\n/);
    this.#afterCR = text.endsWith("\r");
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop();
    const events = [];
    for (const line of lines) this.#take(line, events);
    if (this.#held + this.#line.length > MOST_EVENT_CHARS) {
      throw new RunwireError("the stream holds an event without end", { retryable: true });
    }
    return events;
  }

  #take(line, events) {
    if (line === "") {
      if (this.#data.length) events.push({ data: this.#data.join("\n"), id: this.#id });
      [this.#data, this.#id, this.#held] = [[], null, 0];
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") {
      this.#data.push(value);
      this.#held += value.length + 1;
    } else if (name === "id" && !value.includes("\0")) {
      this.#id = value;
    }
  }
}
