package main

import (
	"strings"
	"unicode/utf8"
)

// Room for what is added when an event is appended.
const envelope = 256

// mostPerCharacter is how many bytes the longest character takes in a JSON text, such as U+0001.
const mostPerCharacter = 6

var tooLarge = &agentError{code: "payload_too_large", text: "an event is too large, and may not be cut"}

// divisible returns the member of an event whose text may be divided, if there is one.
func divisible(event object) string {
	if event["partial"] == true {
		return "content"
	}
	return map[string]string{"token": "data", "replace": "data", "thinking": "content", "tool_delta": "data"}[textOf(event, "type")]
}

func with(event object, name string, value any) object {
	changed := object{}
	for member, inner := range event {
		changed[member] = inner
	}
	changed[name] = value
	return changed
}

// append adds an event of the agent to the log, once its characters are whole.
func (r *run) append(event object) error {
	member := divisible(event)
	isReplace := event["type"] == "replace"
	err := r.letGo(func(held object) bool {
		return (isReplace && held["type"] == "token") || (member == "" && same(held["call_id"], event["call_id"]))
	})
	if err != nil || member == "" {
		if err == nil {
			err = r.add(event)
		}
		return err
	}
	beside := with(event, member, "")
	if isReplace {
		beside["type"] = "token"
	}
	key := encode(beside)
	text := joinHalves(textOf(r.halves[key], member) + textOf(event, member))
	delete(r.halves, key)
	if len(text) >= 3 {
		last := text[len(text)-3:]
		if unit, is := half(last); is && unit < 0xdc00 {
			r.halves[key] = with(beside, member, last)
			if text = text[:len(text)-3]; text == "" && !isReplace {
				return nil
			}
		}
	}
	return r.add(with(event, member, text))
}

// letGo adds the halves whose other half can no longer come.
func (r *run) letGo(concerned func(object) bool) error {
	for key, held := range r.halves {
		if concerned(held) {
			delete(r.halves, key)
			if err := r.add(held); err != nil {
				return err
			}
		}
	}
	return nil
}

// add checks what the call of an event allows, and writes the event in sizes that may be sent.
func (r *run) add(event object) error {
	call := textOf(event, "call_id")
	isOpen, wasMade := r.calls[call]
	switch event["type"] {
	case "tool_call":
		if wasMade {
			return agentFailed("a call is made once")
		}
		r.calls[call] = true
	case "observation":
		if !isOpen {
			return agentFailed("an observation of a call that is not open")
		}
		r.calls[call] = event["partial"] == true
	}
	return r.fit(clean(event).(object))
}

func (r *run) fit(event object) error {
	room := int(limits["max_event_bytes"]) - envelope
	member := divisible(event)
	isDeep := depthOf(event) > int(limits["json_depth"])
	switch {
	case !isDeep && len(encode(event)) <= room:
		if event["type"] == "token" && event["data"] == "" {
			return nil
		}
		return r.write(event)
	case member != "":
		if room -= len(encode(with(event, member, ""))); room < mostPerCharacter {
			return tooLarge
		}
		for text := textOf(event, member); text != ""; {
			piece := cut(text, room)
			if err := r.write(with(event, member, piece)); err != nil {
				return err
			}
			text = text[len(piece):]
			if event["type"] == "replace" {
				event = with(event, "type", "token")
			}
		}
		return nil
	case event["type"] == "observation":
		rest := with(with(event, "content", ""), "truncated", true)
		if room-len(encode(rest)) < mostPerCharacter {
			return tooLarge
		}
		return r.write(with(rest, "content", cut(encode(event["content"]), room-len(encode(rest)))))
	}
	return tooLarge
}

// cut returns the longest beginning of a text whose JSON form has at most `room` bytes, in whole characters.
func cut(text string, room int) string {
	low, high := 0, len(text)
	for low < high {
		middle := (low + high + 1) / 2
		if len(encode(whole(text[:middle])))-2 <= room {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return whole(text[:low])
}

// whole returns a text without the part of a character at its end.
func whole(text string) string {
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}

func (r *run) write(event object) error {
	if r.finished() {
		return errEnded
	}
	event = with(with(event, "run_id", r.id), "seq", len(r.log)+1)
	if r.bytes+len(encode(event)) > int(limits["log_bytes"])-reserve {
		r.end("incomplete", object{"type": "done", "data": "the log is full", "reason": "length"})
		return errEnded
	}
	if event["type"] == "replace" {
		r.text = strings.Builder{}
	}
	if event["type"] == "replace" || event["type"] == "token" {
		r.text.WriteString(textOf(event, "data"))
	}
	r.commit(event)
	return nil
}

// complete ends the run of an agent that came to its end.
func (r *run) complete() error {
	if err := r.letGo(func(object) bool { return true }); err != nil {
		return err
	}
	for _, isOpen := range r.calls {
		if isOpen {
			return agentFailed("a call has no observation")
		}
	}
	r.end("completed", object{"type": "done", "data": "generation completed"})
	return nil
}
