// The reader of event streams, fed cut at every byte: what it reads does not depend on where the network cuts.

import assert from "node:assert/strict";
import { test } from "node:test";

import { EventReader } from "../src/event_reader.js";

const STREAMS = {
  "line ends of every kind": ["data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\r\n\n", ["a", "b", "c", "d"]],
  "a byte order mark": ["\ufeffdata: a\n\n", ["a"]],
  "a mark that is text": ["data: \ufeffa\n\n", ["\ufeffa"]],
  "characters that end lines elsewhere": ["data: a\u2028b\u2029c\u0085d\ve\ff\n\n", ["a\u2028b\u2029c\u0085d\ve\ff"]],
  "characters of two to four bytes": ["data: é中😀\n\n", ["é中😀"]],
  "data in several lines": ["data: a\ndata:\ndata:b\n\n", ["a\n\nb"]],
  "no data": ["id: e.0\nretry: 2000\n\n: a comment\n\n\n", []],
  "a field without a colon": ["data\n\n", [""]],
  "one space, and no more": ["data:  a\ndata:b:c\n\n", [" a\nb:c"]],
  "other fields": ["event: x\nxdata: a\nData: b\ndata: c\n\n", ["c"]],
  "an event that the end cuts off": ["data: a\n\ndata: b\n", ["a"]],
};

for (const [name, [text, expected]] of Object.entries(STREAMS)) {
  const bytes = new TextEncoder().encode(text);
  test(`${name}, whole, byte by byte and cut in two everywhere`, () => {
    const read = (...pieces) => {
      const reader = new EventReader();
      return pieces.flatMap((piece) => reader.feed(piece)).map(({ data }) => data);
    };
    assert.deepEqual(read(bytes), expected);
    assert.deepEqual(read(...Array.from(bytes, (byte) => Uint8Array.of(byte))), expected);
    for (let cut = 1; cut < bytes.length; cut++) {
      assert.deepEqual(read(bytes.subarray(0, cut), bytes.subarray(cut)), expected, `cut at ${cut}`);
    }
  });
}

test("an id comes with its event, and one with a NUL is none", () => {
  const events = new EventReader().feed(new TextEncoder().encode("id: e.1\ndata: a\n\nid: e\0.2\ndata: b\n\n"));
  assert.deepEqual(events.map(({ id }) => id), ["e.1", null]); // prettier-ignore
});

test("an event without end is refused and not collected", () => {
  const reader = new EventReader();
  const piece = new TextEncoder().encode("data: " + "x".repeat(2 ** 20));
  assert.throws(() => {
    for (let mebibytes = 0; mebibytes < 20; mebibytes++) reader.feed(piece);
  }, /without end/);
});
