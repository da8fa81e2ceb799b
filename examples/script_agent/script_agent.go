// Package scriptagent is the script agent of chapter 16 in Go. Never enable it in production.
//
//	if steps, ok := scriptagent.Parse(prompt); ok {
//		err = agent.Play(ctx, steps, run, appendEvent) // a *Failed becomes the error that ends the run
//	}
//
// To cancel a run, cancel ctx; every wait but block_ms then ends with its error.
package scriptagent

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"
)

const (
	maxSteps   = 1_000_000 // [SCRIPT-10]
	maxReports = 10_000    // runs that report can name; the oldest are forgotten
)

// Event is an event without run_id and seq; an input_request keeps expires_in_ms.
type Event = map[string]any

// Failed ends the run with an error of Code; Retryable is nil where the script does not say.
type Failed struct {
	Code, Data string
	Retryable  any
}

func (f *Failed) Error() string { return f.Data }

func failed(format string, values ...any) *Failed {
	return &Failed{Code: "agent_error", Data: fmt.Sprintf(format, values...)}
}

// Run is what your server tells the agent about a run. NoneOpen and Answer are for the feature input and may be nil.
type Run struct {
	Principal, RunID string
	// CancelledAt returns when the run was cancelled, the zero time before that.
	CancelledAt func() time.Time
	// NoneOpen waits until no input request of the run is open.
	NoneOpen func(context.Context) error
	// Answer waits until a request is closed: nil if it expired, a *Failed if it was never opened.
	Answer func(ctx context.Context, requestID string) (any, error)
}

// Agent remembers what report tells; its zero value is ready.
type Agent struct {
	mutex   sync.Mutex
	reports map[[2]string]*report
	order   [][2]string
}

type report struct {
	run       Run
	late      int
	stoppedAt time.Time
	stopped   chan struct{}
}

// Parse returns the steps of a script, and whether the prompt is one; else it is for your own agent ([SCRIPT-11]).
func Parse(prompt string) ([]any, bool) {
	var script map[string]any
	if json.Unmarshal([]byte(prompt), &script) != nil || len(script) != 1 {
		return nil, false
	}
	steps, ok := script["runwire_script"].([]any)
	return steps, ok
}

// Play emits the events of a script. When emit returns an error, because the run has ended, Play returns it.
func (a *Agent) Play(ctx context.Context, steps []any, run Run, emit func(Event) error) error {
	own := a.remember(run)
	defer func() {
		own.stoppedAt = time.Now()
		close(own.stopped)
	}()
	count, calls := 0, map[any]bool{} // whether each call is open
	err := expanded(steps, func(step any) error {
		if count++; count > maxSteps {
			return failed("the script has more than %d steps", maxSteps)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !run.CancelledAt().IsZero() {
			own.late++
		}
		return a.step(ctx, step, run, calls, emit)
	})
	if err == nil && run.NoneOpen != nil {
		err = run.NoneOpen(ctx)
	}
	return err
}

func (a *Agent) step(ctx context.Context, step any, run Run, calls map[any]bool, emit func(Event) error) error {
	name, value, event := checked(step)
	if name == "" {
		text, _ := json.Marshal(step)
		return failed("unknown or malformed: %.80s", text)
	}
	if !inOrder(event, calls) {
		return failed("a call is made once, and observed while it is open")
	}
	if run.NoneOpen != nil && name != "input_request" && name != "echo_input" { // [SCRIPT-7]
		if err := run.NoneOpen(ctx); err != nil {
			return err
		}
	}
	text, _ := value.(string)
	ms, _ := value.(float64)
	pause := time.Duration(math.Min(ms, 1e12) * float64(time.Millisecond))
	switch name {
	case "token", "replace", "thinking":
		if text == "" && name == "token" {
			return nil
		}
		return emit(event)
	case "wait_ms": // [SCRIPT-5]
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		return ctx.Err()
	case "block_ms": // [SCRIPT-6]: whatever happens to the run
		time.Sleep(pause)
		return ctx.Err()
	case "echo_input":
		if run.Answer == nil {
			return failed("echo_input names a request that was not opened")
		}
		answer, err := run.Answer(ctx, text)
		return emitJSON(answer, err, emit)
	case "report":
		if text == run.RunID {
			return failed("report names no earlier script run")
		}
		told, err := a.told(ctx, [2]string{run.Principal, text})
		return emitJSON(told, err, emit)
	case "fail":
		failure := value.(map[string]any)
		return &Failed{failure["code"].(string), failure["data"].(string), failure["retryable"]}
	}
	return emit(event)
}

// inOrder notes what becomes of a call; it returns false for one made twice, or observed when it is not open.
func inOrder(event Event, calls map[any]bool) bool {
	call := event["call_id"]
	isOpen, wasMade := calls[call]
	switch event["type"] {
	case "tool_call":
		calls[call] = true
		return !wasMade
	case "observation":
		calls[call] = event["partial"] == true
		return isOpen
	}
	return true
}

// expanded hands every step to play with each repeat unrolled, without holding them all.
func expanded(steps []any, play func(any) error) error {
	for _, step := range steps {
		parts, _ := step.(map[string]any)
		repeat, repeats := parts["repeat"]
		if !repeats {
			if err := play(step); err != nil {
				return err
			}
			continue
		}
		times, _ := repeat.(float64)
		inner, _ := parts["steps"].([]any)
		if len(parts) != 2 || len(inner) == 0 || times < 1 || times != math.Trunc(times) {
			return failed("repeat needs a whole number of at least 1, and beside it steps, a list that is not empty")
		}
		for ; times >= 1; times-- {
			if err := expanded(inner, play); err != nil {
				return err
			}
		}
	}
	return nil
}

// A value says whether it may stand in a step.
type check func(any) bool

func isString(value any) bool { _, ok := value.(string); return ok }
func isBool(value any) bool   { _, ok := value.(bool); return ok }
func isAny(any) bool          { return true }
func isTime(value any) bool   { ms, ok := value.(float64); return ok && ms >= 0 }
func isKind(value any) bool   { return value == "approval" || value == "question" || value == "form" }

var (
	texts   = map[string]string{"token": "data", "replace": "data", "thinking": "content"}
	scalars = map[string]check{
		"token": isString, "replace": isString, "thinking": isString, "report": isString, "echo_input": isString,
		"wait_ms": isTime, "block_ms": isTime,
	}
	// Steps whose value is an object: the members they must have, and those they may have.
	objects = map[string][2]map[string]check{
		"tool_delta":  {{"call_id": isString, "name": isString, "data": isString}},
		"tool_call":   {{"call_id": isString, "name": isString, "input": isAny}},
		"observation": {{"call_id": isString, "content": isAny}, {"is_error": isBool, "partial": isBool}},
		"input_request": {{"request_id": isString, "kind": isKind},
			{"data": isString, "call_id": isString, "schema": isAny, "expires_in_ms": isTime}},
		"fail": {{"code": isString, "data": isString}, {"retryable": isBool}},
	}
)

// checked returns name and value of a step, and the event it becomes; no name if it is malformed ([SCRIPT-4]).
func checked(step any) (name string, value any, event Event) {
	parts, _ := step.(map[string]any)
	event = Event{}
	for member := range parts {
		if member == "agent" || member == "parent_call_id" {
			event[member] = parts[member]
		} else {
			name, value = member, parts[member]
		}
	}
	if len(parts) != len(event)+1 {
		return "", nil, nil
	}
	if name == "token" || name == "replace" {
		event = Event{}
	}
	event["type"] = name
	if fits, isScalar := scalars[name]; isScalar {
		if member, isText := texts[name]; isText {
			event[member] = value
		}
		return nameIf(fits(value), name), value, event
	}
	members, isObject := value.(map[string]any)
	shape, known := objects[name]
	fits := isObject && known
	for member := range shape[0] {
		_, given := members[member]
		fits = fits && given
	}
	for member, given := range members {
		fitting, allowed := shape[0][member]
		if !allowed {
			fitting, allowed = shape[1][member]
		}
		fits = fits && allowed && fitting(given)
		event[member] = given
	}
	partialText := members["partial"] != true || isString(members["content"])
	return nameIf(fits && partialText, name), value, event
}

func nameIf(fits bool, name string) string {
	if fits {
		return name
	}
	return ""
}

func (a *Agent) remember(run Run) *report {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.reports == nil {
		a.reports = map[[2]string]*report{}
	}
	key := [2]string{run.Principal, run.RunID}
	own := &report{run: run, stopped: make(chan struct{})}
	a.reports[key] = own
	if a.order = append(a.order, key); len(a.order) > maxReports {
		delete(a.reports, a.order[0])
		a.order = a.order[1:]
	}
	return own
}

// told returns what report emits, once the agent of that run has stopped ([SCRIPT-9]).
func (a *Agent) told(ctx context.Context, key [2]string) (Event, error) {
	a.mutex.Lock()
	earlier := a.reports[key]
	a.mutex.Unlock()
	if earlier == nil {
		return nil, failed("report names no earlier script run")
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-earlier.stopped:
	}
	cancelledAt := earlier.run.CancelledAt()
	if cancelledAt.IsZero() {
		return Event{"stopped_after_ms": nil, "steps_after_cancel": 0}, nil
	}
	elapsed := earlier.stoppedAt.Sub(cancelledAt).Milliseconds()
	return Event{"stopped_after_ms": math.Max(0, float64(elapsed)), "steps_after_cancel": earlier.late}, nil
}

func emitJSON(value any, err error, emit func(Event) error) error {
	if err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return emit(Event{"type": "token", "data": string(text)})
}
