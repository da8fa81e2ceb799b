package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How many connections and streams each address has.
var places = map[string]int{}

// takePlace counts one connection or stream more, unless there are as many as may be.
func takePlace(address string) bool {
	mu.Lock()
	defer mu.Unlock()
	if places[address] >= int(limits["connections_per_principal"]) {
		return false
	}
	places[address]++
	return true
}

func leavePlace(address string) {
	mu.Lock()
	defer mu.Unlock()
	places[address]--
}

func notEmpty(texts []string) (found []string) {
	for _, text := range texts {
		if text != "" {
			found = append(found, text)
		}
	}
	return found
}

// events streams a run from the cursor that the request names.
func (x *exchange) events(runID string) {
	if len(x.words("Accept")) > 0 {
		weight := -1.0
		for _, media := range []string{"*/*", "text/*", "text/event-stream"} {
			if given := x.accepts(media); given >= 0 {
				weight = given
			}
		}
		if weight <= 0 {
			x.problem(http.StatusNotAcceptable, "unsupported", "the stream is text/event-stream")
			return
		}
	}
	given := notEmpty(x.Request.Header.Values("Last-Event-ID"))
	if len(given) == 0 {
		given = notEmpty(x.URL.Query()["after"])
	}
	if len(given) == 0 {
		given = []string{"0"}
	}
	found := cursors.FindStringSubmatch(given[0])
	after := 0
	if found != nil {
		after, _ = strconv.Atoi(found[2])
	}
	if len(given) > 1 || found == nil || after >= 1<<53 {
		x.refuse(refuse("bad_request", "a cursor is epoch, dot and seq, or a seq"))
		return
	}
	mu.Lock()
	run, err := find(runID)
	mu.Unlock()
	if err != nil {
		x.refuse(err)
		return
	}
	if !takePlace(x.address()) {
		x.problem(http.StatusTooManyRequests, "busy", "too many connections")
		return
	}
	defer leavePlace(x.address())
	mu.Lock()
	switch {
	case found[1] != "" && found[1] != run.epoch:
		err = refuse("not_found", "this log is gone")
	case after > len(run.log):
		err = refuse("bad_request", "the cursor is beyond the end of the log")
	case !run.finished() || after < len(run.log):
		x.stream(run, after, []object{run.resumed(after)})
		return
	}
	mu.Unlock()
	if err != nil {
		x.refuse(err)
		return
	}
	x.WriteHeader(http.StatusNoContent)
}

// stream attaches a reader, gives mu back, and sends the run until it ends or the client leaves or takes nothing.
func (x *exchange) stream(run *run, after int, first []object) {
	wake := make(chan struct{}, 1)
	run.attach(wake)
	mu.Unlock()
	byServer := false
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		run.detach(wake, byServer)
	}()
	header := x.ResponseWriter.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no")
	header.Set("Connection", "close")
	var head strings.Builder
	head.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&head)
	fmt.Fprintf(&head, "\r\nretry: 2000\nid: %s.%d\n\n", run.epoch, after)
	for _, message := range first {
		fmt.Fprintf(&head, "data: %s\n\n", encode(message))
	}
	conn, buffered, err := x.ResponseWriter.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	keepLittle(conn)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		discard(buffered.Reader)
	}()
	for text := head.String(); text != ""; {
		isTimeout, ok := writePieces(conn, []byte(text), func() {})
		if byServer = isTimeout; !ok {
			return
		}
		text, after = nextBlock(run, after, wake, gone)
	}
}

// nextBlock waits for what the stream has to send next; nothing is left when the run is over or the client gone.
func nextBlock(run *run, after int, wake, gone chan struct{}) (text string, cursor int) {
	timer := time.NewTimer(seconds("heartbeat_s", 0.9))
	defer timer.Stop()
	for {
		mu.Lock()
		isOver := run.finished() && after == len(run.log)
		if after < len(run.log) {
			text = fmt.Sprintf("id: %s.%d\ndata: %s\n\n", run.epoch, after+1, run.log[after])
			after++
		}
		mu.Unlock()
		if text != "" || isOver {
			return text, after
		}
		select {
		case <-wake:
		case <-gone:
			return "", after
		case <-timer.C:
			return "data: {\"type\":\"heartbeat\"}\n\n", after
		}
	}
}
