package main

import (
	"encoding/json"
	"math"
	"runtime"
	"sort"
	"strings"
	"time"
)

const mostSteps = 1_000_000

func isFlag(value any) bool { _, is := value.(bool); return is }
func isAny(any) bool        { return true }

// msOf returns a number of milliseconds, or -1 for what is none.
func msOf(value any) float64 {
	digits, is := value.(json.Number)
	ms, err := digits.Float64()
	if !is || err != nil || ms < 0 {
		return -1
	}
	return math.Min(ms, 1e9)
}

// timesOf returns a whole number of at least 0, however it is written, or -1 for what is none.
func timesOf(value any) int {
	digits, is := value.(json.Number)
	times, err := digits.Float64()
	if !is || err != nil || times < 0 || times > 1<<53 || times != math.Trunc(times) {
		return -1
	}
	return int(times)
}

func isMs(value any) bool { return msOf(value) >= 0 }

// shape returns a test for objects with these members; a name that ends in ? may be absent.
func shape(known map[string]func(any) bool) func(any) bool {
	return func(value any) bool {
		given, is := value.(object)
		count := 0
		for name, test := range known {
			inner, has := given[strings.TrimSuffix(name, "?")]
			if (has && !test(inner)) || (!has && !strings.HasSuffix(name, "?")) {
				return false
			}
			if has {
				count++
			}
		}
		return is && count == len(given)
	}
}

type tests = map[string]func(any) bool

var steps = tests{
	"token": isText, "replace": isText, "thinking": isText, "report": isText, "wait_ms": isMs, "block_ms": isMs,
	"tool_delta": shape(tests{"call_id": isName(256), "name": isText, "data": isText}),
	"tool_call":  shape(tests{"call_id": isName(256), "name": isText, "input": isAny}),
	"observation": func(value any) bool {
		fits := shape(tests{"call_id": isName(256), "content": isAny, "is_error?": isFlag, "partial?": isFlag})(value)
		return fits && (value.(object)["partial"] != true || isText(value.(object)["content"]))
	},
	"fail": shape(tests{
		"code": func(value any) bool { return isText(value) && isTerminalCode(value.(string)) },
		"data": isText, "retryable?": isFlag,
	}),
}

// scriptOf returns the steps of a prompt that is a script.
func scriptOf(prompt string) ([]any, bool) {
	found, err := readJSON(prompt)
	script, is := found.value.(object)
	if err != nil || !is || len(script) != 1 {
		return nil, false
	}
	list, is := script["runwire_script"].([]any)
	return list, is
}

// nameOf returns the name of a step's one member, agent and parent_call_id aside; nothing when there are more.
func nameOf(step object) string {
	names := []string{}
	for name := range step {
		if name != "agent" && name != "parent_call_id" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

// count returns how many steps a list stands for; it fails for one that is unknown or malformed.
func count(value any) (float64, error) {
	list, is := value.([]any)
	sum := 0.0
	for _, item := range list {
		step, isStep := item.(object)
		name := nameOf(step)
		if is = is && isStep; is && name == "repeat steps" {
			times := timesOf(step["repeat"])
			inner, err := count(step["steps"])
			if err != nil || times < 1 || inner == 0 || len(step) != 2 {
				return 0, agentFailed("repeat takes an integer of at least 1, and steps")
			}
			sum += float64(times) * inner
			continue
		}
		test, known := steps[name]
		is = is && known && test(step[name])
		for _, aside := range []string{"agent", "parent_call_id"} {
			if beside, has := step[aside]; has {
				is = is && isName(256)(beside) && name != "token" && name != "replace"
			}
		}
		if !is {
			return 0, agentFailed("a step is unknown or malformed")
		}
		sum++
	}
	if !is {
		return 0, agentFailed("steps are a list")
	}
	return sum, nil
}

// work is the agent: it plays a script, and answers any other prompt with its own words.
func work(r *run) error {
	prompt := textOf(r.start, "prompt")
	list, isScript := scriptOf(prompt)
	if !isScript {
		for _, word := range strings.Split("You said: "+prompt, " ") {
			if err := say(r, object{"type": "token", "data": word + " "}); err != nil {
				return err
			}
			if err := pause(r, 20); err != nil {
				return err
			}
		}
		return nil
	}
	many, err := count(list)
	if err != nil {
		return err
	}
	if many > mostSteps {
		return agentFailed("a script of more than a million steps")
	}
	return playAll(r, list)
}

func playAll(r *run, list []any) error {
	for _, item := range list {
		step := item.(object)
		if _, repeats := step["repeat"]; repeats {
			for time := timesOf(step["repeat"]); time > 0; time-- {
				if err := playAll(r, step["steps"].([]any)); err != nil {
					return err
				}
			}
		} else if err := playStep(r, step); err != nil {
			return err
		}
	}
	return nil
}

// playStep plays one step, unless the run has ended.
func playStep(r *run, step object) error {
	select {
	case <-r.stop:
		return errEnded
	default:
	}
	mu.Lock()
	if !r.cancelledAt.IsZero() {
		r.stepsAfterCancel++
	}
	mu.Unlock()
	name := nameOf(step)
	value := step[name]
	switch name {
	case "wait_ms":
		return pause(r, msOf(value))
	case "block_ms":
		time.Sleep(time.Duration(msOf(value) * float64(time.Millisecond)))
		return nil
	case "report":
		told, err := report(r, value.(string))
		if err != nil {
			return err
		}
		return say(r, object{"type": "token", "data": encode(told)})
	case "fail":
		failure := value.(object)
		end := &agentError{code: textOf(failure, "code"), text: textOf(failure, "data")}
		if again, given := failure["retryable"].(bool); given {
			end.retryable = &again
		}
		return end
	}
	event := object{"type": name}
	if text, isString := value.(string); isString {
		event[divisible(event)] = text
	} else {
		for member, inner := range value.(object) {
			event[member] = inner
		}
	}
	for _, aside := range []string{"agent", "parent_call_id"} {
		if beside, has := step[aside]; has {
			event[aside] = beside
		}
	}
	return say(r, event)
}

func say(r *run, event object) error {
	mu.Lock()
	defer mu.Unlock()
	defer runtime.Gosched()
	return r.append(event)
}

// pause waits, and notices at once that the run has ended.
func pause(r *run, ms float64) error {
	timer := time.NewTimer(time.Duration(ms * float64(time.Millisecond)))
	defer timer.Stop()
	select {
	case <-r.stop:
		return errEnded
	case <-timer.C:
		return nil
	}
}

// report waits until the agent of an earlier run has stopped, and tells how long that took.
func report(r *run, runID string) (object, error) {
	mu.Lock()
	other := runs[runID]
	isVain := other == nil || other == r || other.status == "queued" || other.neverBegan
	mu.Unlock()
	if isVain {
		return nil, agentFailed("a report on a run that is not known")
	}
	select {
	case <-other.stopped:
	case <-r.stop:
		return nil, errEnded
	}
	mu.Lock()
	defer mu.Unlock()
	var took any
	if !other.cancelledAt.IsZero() {
		took = math.Max(0, float64(other.stoppedAt.Sub(other.cancelledAt))/float64(time.Millisecond))
	}
	return object{"stopped_after_ms": took, "steps_after_cancel": other.stepsAfterCancel}, nil
}
