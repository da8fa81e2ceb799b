package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"
)

// Bytes of a log that are kept free for its terminal.
const reserve = 2048

// mu makes everything that happens to runs and their readers one atomic step after another.
var mu sync.Mutex

// errEnded: an append to a run that has its terminal; the agent has to stop.
var errEnded = errors.New("the run has ended")

// agentError says that the agent failed, or did what no agent may do.
type agentError struct {
	code, text string
	retryable  *bool
}

func (e *agentError) Error() string { return e.text }

func agentFailed(text string) error { return &agentError{code: "agent_error", text: text} }

// run is one run: its log, its state, its readers. All but the constants at its head is used under mu.
type run struct {
	id, epoch, sessionID, traceID string
	start                         object
	stop                          chan struct{} // closed when the run has ended
	stopped                       chan struct{} // closed when its agent has stopped

	status           string
	log              []string
	bytes            int
	text             strings.Builder
	calls            map[string]bool
	halves           map[string]object
	neverBegan       bool
	readers          map[chan struct{}]bool
	grace            *time.Timer
	cancelledAt      time.Time
	stoppedAt        time.Time
	stepsAfterCancel int
	onEnd            func(*run)
}

func random(bytes int) []byte {
	drawn := make([]byte, bytes)
	if _, err := rand.Read(drawn); err != nil {
		panic(err)
	}
	return drawn
}

func newID() string      { return base64.RawURLEncoding.EncodeToString(random(16)) }
func newTraceID() string { return hex.EncodeToString(random(16)) }

func newRun(start object, traceID string, onEnd func(*run)) *run {
	made := &run{
		id: textOf(start, "run_id"), epoch: base64.RawURLEncoding.EncodeToString(random(8)),
		sessionID: textOf(start, "session_id"), traceID: traceID, start: start, status: "queued",
		stop: make(chan struct{}), stopped: make(chan struct{}), calls: map[string]bool{}, halves: map[string]object{},
		readers: map[chan struct{}]bool{}, onEnd: onEnd,
	}
	if made.id == "" {
		made.id = newID()
	}
	if made.sessionID == "" {
		made.sessionID = newID()
	}
	return made
}

func (r *run) finished() bool { return r.status != "queued" && r.status != "running" }

// policy returns what becomes of the run when nobody reads it.
func (r *run) policy() string {
	if policy := textOf(r.start, "on_disconnect"); policy != "" {
		return policy
	}
	return "grace"
}

// hasBody says whether another start asks for the same run.
func (r *run) hasBody(start object) bool {
	body := func(start object) any {
		inputs, has := start["inputs"]
		if !has {
			inputs = object{}
		}
		policy := textOf(start, "on_disconnect")
		if policy == "" {
			policy = "grace"
		}
		return []any{start["prompt"], textOf(start, "session_id"), inputs, policy}
	}
	return same(body(r.start), body(start))
}

// commit adds an event to the log and wakes the readers.
func (r *run) commit(event object) {
	line := encode(event)
	r.bytes += len(line)
	r.log = append(r.log, line)
	for wake := range r.readers {
		nudge(wake)
	}
}

// nudge wakes whoever waits on a channel with one place.
func nudge(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// end appends the terminal, unless another was appended first, and stops the agent.
func (r *run) end(status string, terminal object) {
	if r.finished() {
		return
	}
	wasQueued := r.status == "queued"
	r.status = status
	if terminal["type"] == "done" {
		terminal["status"] = status
	}
	terminal["run_id"], terminal["seq"], terminal["trace_id"] = r.id, len(r.log)+1, r.traceID
	r.commit(terminal)
	if r.grace != nil {
		r.grace.Stop()
	}
	close(r.stop)
	r.neverBegan = wasQueued
	r.onEnd(r)
}

// cancel ends the run at once: what the agent still says is refused at the log.
func (r *run) cancel(reason string) {
	if !r.finished() {
		r.cancelledAt = time.Now()
		r.end("cancelled", object{"type": "done", "data": "cancelled", "reason": reason})
	}
}

// expire ends the run because its time is over.
func (r *run) expire() {
	if !r.finished() {
		r.cancelledAt = time.Now()
		r.fail("timeout", "the run took too long", nil)
	}
}

// fail ends the run with an error.
func (r *run) fail(code, text string, retryable *bool) {
	again := isRetryable[code]
	if retryable != nil && (isOverridable[code] || strings.Contains(code, ":")) {
		again = *retryable
	}
	if len(text) > 1000 {
		text = text[:1000]
	}
	text = strings.ToValidUTF8(text, "\ufffd")
	r.end("failed", object{"type": "error", "data": text, "code": code, "retryable": again})
}

// agentStopped notes when the agent stopped, for `report`.
func (r *run) agentStopped() {
	r.stoppedAt = time.Now()
	close(r.stopped)
}

// attach adds a reader, which ends the time that the run may be without one.
func (r *run) attach(wake chan struct{}) {
	r.readers[wake] = true
	if r.grace != nil {
		r.grace.Stop()
		r.grace = nil
	}
}

// detach removes a reader, and applies the run's policy when it was the last.
func (r *run) detach(wake chan struct{}, byServer bool) {
	delete(r.readers, wake)
	if len(r.readers) > 0 || r.finished() || r.policy() == "continue" {
		return
	}
	if r.policy() == "cancel" && !byServer {
		r.cancel("disconnected")
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(seconds("detach_grace_s", 1), func() {
		mu.Lock()
		defer mu.Unlock()
		if r.grace == timer {
			r.cancel("disconnected")
		}
	})
	r.grace = timer
}

func (r *run) started() object {
	return object{
		"type": "started", "run_id": r.id, "epoch": r.epoch, "session_id": r.sessionID,
		"trace_id": r.traceID, "status": r.status,
	}
}

func (r *run) resumed(after int) object {
	return object{
		"type": "resumed", "run_id": r.id, "epoch": r.epoch, "next_seq": after + 1, "last_seq": len(r.log),
		"trace_id": r.traceID, "status": r.status,
	}
}
