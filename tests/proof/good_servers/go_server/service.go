package main

import (
	"errors"
	"time"
)

// The runs by their names; without authentication all callers are one principal. Used under mu.
var (
	runs       = map[string]*run{}
	sessions   = map[string][]*run{}
	unfinished = 0
	draining   = false
	drained    = false
)

func find(runID string) (*run, error) {
	if found := runs[runID]; found != nil {
		return found, nil
	}
	return nil, refuse("not_found", "no such run")
}

// begin returns the run that a start asks for, and whether it is a new one.
func begin(start object, headerTraceID string) (*run, bool, error) {
	if known := runs[textOf(start, "run_id")]; known != nil {
		if !known.hasBody(start) {
			return nil, false, refuse("conflict", "this run_id stands for another start")
		}
		return known, false, nil
	}
	if draining {
		return nil, false, refuse("unavailable", "the server takes on no new runs")
	}
	if unfinished >= int(limits["runs_per_principal"]) {
		return nil, false, refuse("busy", "too many runs are unfinished")
	}
	kept := 0
	for _, run := range runs {
		kept += run.bytes + len(textOf(run.start, "prompt"))
	}
	if kept >= int(limits["kept_bytes_per_principal"]) {
		return nil, false, refuse("busy", "as much is kept as may be")
	}
	traceID := traceIDOf(start["traceparent"])
	if traceID == "" {
		traceID = headerTraceID
	}
	if traceID == "" {
		traceID = newTraceID()
	}
	made := newRun(start, traceID, ended)
	runs[made.id] = made
	unfinished++
	sessions[made.sessionID] = append(sessions[made.sessionID], made)
	if len(sessions[made.sessionID]) == 1 {
		play(made)
	}
	return made, true, nil
}

// play lets the agent of a run work.
func play(r *run) {
	r.status = "running"
	deadline := time.AfterFunc(seconds("run_s", 1), func() {
		mu.Lock()
		defer mu.Unlock()
		r.expire()
	})
	go func() {
		err := work(r)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			err = r.complete()
		}
		var failure *agentError
		if errors.As(err, &failure) {
			r.fail(failure.code, failure.text, failure.retryable)
		}
		deadline.Stop()
		r.agentStopped()
	}()
}

// ended lets the session's next run begin, and the run be forgotten when its time has come.
func ended(r *run) {
	unfinished--
	time.AfterFunc(seconds("resume_window_s", 1), func() {
		mu.Lock()
		defer mu.Unlock()
		delete(runs, r.id)
	})
	session := sessions[r.sessionID]
	wasFirst := session[0] == r
	left := []*run{}
	for _, other := range session {
		if other != r {
			left = append(left, other)
		}
	}
	sessions[r.sessionID] = left
	if len(left) == 0 {
		delete(sessions, r.sessionID)
	} else if wasFirst {
		play(left[0])
	}
}
