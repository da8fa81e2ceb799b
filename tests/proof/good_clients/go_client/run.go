package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

type message map[string]any

func (m message) word(name string) string {
	text, _ := m[name].(string)
	return text
}

func (m message) number(name string) (int, bool) {
	value, is := m[name].(float64)
	return int(value), is
}

var (
	errEnded = errors.New("the run has ended")
	errHole  = errors.New("an event is missing")
	errAgain = errors.New("refused for now")
)

// stopped says that nothing more is to be tried.
type stopped struct{ why string }

func (s stopped) Error() string { return s.why }

// run is a run as far as it was read, and what is shown of it.
type run struct {
	id, epoch, asked string
	cursor           int
	accepted, basic  bool
	text             string
	calls            map[string]any
	called           map[string]bool
	onText           func()
}

func newRun(onText func()) *run {
	random := make([]byte, 18) // [RUN-11]
	rand.Read(random)
	return &run{id: base64.RawURLEncoding.EncodeToString(random), calls: map[string]any{}, called: map[string]bool{}, onText: onText}
}

func report(shown message) {
	text, _ := json.Marshal(message{"runwire": shown})
	fmt.Println(string(text))
}

// take reads a message of either transport.
func (r *run) take(said message) error {
	kind := said.word("type")
	_, isEvent := said.number("seq")
	switch {
	case kind == "started" || kind == "resumed":
		r.accepted, r.epoch = true, said.word("epoch")
	case kind == "error" && !isEvent && !r.basic: // [EVENT-25]
		return r.refused(said)
	case isEvent && !r.basic:
		return r.event(said)
	case r.basic:
		return r.show(said)
	}
	return nil // [MSG-26], [BEAT-10]
}

func (r *run) refused(said message) error {
	if re := said.word("re"); re != "" && re != r.asked {
		return nil // a cancel that came to nothing ends nothing
	}
	if said.word("code") == "not_found" && r.accepted { // [RESUME-22]
		r.accepted, r.epoch, r.cursor, r.text = false, "", 0, ""
		report(message{"text": ""})
		return errAgain
	}
	if said["retryable"] != true { // [ERR-6]
		return stopped{"refused with " + said.word("code")}
	}
	return errAgain
}

func (r *run) event(said message) error {
	seq, _ := said.number("seq")
	first, merged := said.number("first_seq")
	if !merged {
		first = seq
	}
	if seq <= r.cursor { // [RESUME-20]
		return nil
	}
	if first != r.cursor+1 { // [RESUME-19], [RESUME-21]
		return errHole
	}
	r.cursor = seq
	return r.show(said)
}

func (r *run) show(said message) error {
	call := said.word("call_id")
	switch said.word("type") {
	case "token":
		r.text += said.word("data")
		r.onText()
	case "replace": // [EVENT-6]
		r.text = said.word("data")
	case "tool_delta":
		before, _ := r.calls[call].(string)
		r.calls[call] = before + said.word("data")
	case "tool_call":
		r.called[call], r.calls[call] = true, ""
	case "observation":
		before, _ := r.calls[call].(string)
		if said["partial"] != true { // [EVENT-16]
			before = ""
		}
		r.calls[call] = before + said.word("content")
	case "done":
		return r.end(first(said.word("status"), "completed"))
	case "error":
		return r.end("failed")
	default:
		return nil
	}
	report(message{"text": r.text, "calls": r.calls})
	return nil
}

func (r *run) end(how string) error {
	for call := range r.calls {
		if !r.called[call] { // [EVENT-17]
			r.calls[call] = nil
		}
	}
	report(message{"text": r.text, "calls": r.calls, "ended": how})
	return errEnded
}

func first(one, other string) string {
	if one == "" {
		return other
	}
	return one
}
