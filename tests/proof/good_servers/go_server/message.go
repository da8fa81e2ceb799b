package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"
)

type object = map[string]any

// errNoMessage: the text is no JSON object, so that nothing sensible can follow on the connection.
var errNoMessage = errors.New("no JSON object")

var (
	chosen      = regexp.MustCompile(`^[A-Za-z0-9_-]{21,64}$`)
	epochs      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	traceparent = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-(?s:.*))?$`)
	zeros       = regexp.MustCompile(`^0+$`)
)

// traceIDOf returns the trace id of a valid traceparent, else nothing.
func traceIDOf(value any) string {
	text, _ := value.(string)
	found := traceparent.FindStringSubmatch(text)
	if found == nil || found[1] == "ff" || (found[1] == "00" && found[4] != "") ||
		zeros.MatchString(found[2]) || zeros.MatchString(found[3]) {
		return ""
	}
	return found[2]
}

func isText(value any) bool {
	_, is := value.(string)
	return is
}

func isName(most int) func(any) bool {
	return func(value any) bool {
		text, is := value.(string)
		return is && text != "" && utf8.RuneCountInString(text) <= most
	}
}

func matches(pattern *regexp.Regexp) func(any) bool {
	return func(value any) bool {
		text, is := value.(string)
		return is && pattern.MatchString(text)
	}
}

func isObject(value any) bool {
	_, is := value.(object)
	return is
}

// cursorOf returns a cursor, or -1 for what is none.
func cursorOf(value any) int {
	digits, _ := value.(json.Number)
	cursor, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || cursor < 0 || cursor > 1<<53-1 {
		return -1
	}
	return int(cursor)
}

var members = map[string]func(any) bool{
	"id":            isName(64),
	"prompt":        isText,
	"run_id":        matches(chosen),
	"session_id":    matches(chosen),
	"inputs":        isObject,
	"on_disconnect": func(value any) bool { return value == "grace" || value == "cancel" || value == "continue" },
	"traceparent":   func(value any) bool { return traceIDOf(value) != "" },
	"after":         func(value any) bool { return cursorOf(value) >= 0 },
	"epoch":         matches(epochs),
	"request_id":    isName(256),
	"data":          func(any) bool { return true },
}

// The members that each type must have, and those that it can have.
var types = map[string][2][]string{
	"start":     {{"prompt"}, {"id", "run_id", "session_id", "inputs", "on_disconnect", "traceparent"}},
	"resume":    {{"run_id", "after"}, {"id", "epoch"}},
	"cancel":    {{}, {"id", "run_id"}},
	"heartbeat": {{}, {"id"}},
	"input":     {{"run_id", "request_id", "data"}, {"id"}},
}

// read returns the object that a text holds, and with it a refusal when it must be refused.
func read(text string) (object, error) {
	found, err := readJSON(text)
	message, is := found.value.(object)
	switch {
	case err == errTooDeep:
		return nil, refuse("bad_request", "nested too deep")
	case err != nil || !is:
		return nil, errNoMessage
	case found.depth > int(limits["json_depth"]):
		return message, refuse("bad_request", "nested too deep")
	case found.halves:
		return message, refuse("bad_request", "a string holds a lone surrogate")
	case found.repeats:
		return message, refuse("bad_request", "a member name is repeated in one object")
	}
	return message, nil
}

// understand returns the type of a valid message.
func understand(message object) (string, error) {
	value, hasType := message["type"]
	if _, hasPrompt := message["prompt"]; !hasType && hasPrompt {
		value = "start"
	}
	name, _ := value.(string)
	if name == "" {
		return "", refuse("bad_request", "a message has a type, or a prompt")
	}
	if _, known := types[name]; !known {
		return name, check("heartbeat", message)
	}
	return name, check(name, message)
}

// check refuses a message that breaks the schema of a type.
func check(name string, message object) error {
	for place, names := range types[name] {
		for _, member := range names {
			value, has := message[member]
			if (place == 0 && !has) || (has && !members[member](value)) {
				return refuse("bad_request", fmt.Sprintf("%s is missing or malformed", member))
			}
		}
	}
	return nil
}

// answering puts `re` onto the answer to a message when its `id` can be repeated.
func answering(message, answer object) object {
	if id := message["id"]; members["id"](id) && utf8.ValidString(id.(string)) {
		answer["re"] = id
	}
	return answer
}

func textOf(message object, name string) string {
	text, _ := message[name].(string)
	return text
}
