package main

import (
	"bufio"
	"errors"
	"net"
	"os"
	"time"
)

// mostAnswers may wait for a reader; beyond them the connection is not read from.
const mostAnswers = 1000

// cursor is how far a run was sent.
type cursor struct {
	run   *run
	after int
}

// connection is one WebSocket: one goroutine reads and answers, one writes, and all they share is used under mu.
type connection struct {
	conn    net.Conn
	traceID string
	wake    chan struct{}
	room    chan struct{}

	cursors  []*cursor
	left     []*cursor // readers that are sent nothing any more
	answers  []string
	controls [][]byte
	goodbye  []byte // the Close frame that is to be sent
	byServer bool
	usedAt   time.Time
	askedAt  time.Time // when the Ping was sent that has no Pong
	movedAt  time.Time // when the socket last took bytes while more were waiting
}

var connections = map[*connection]bool{}

// serve serves a connection to its end.
func serve(conn net.Conn, in *bufio.Reader, traceID string) {
	c := &connection{
		conn: conn, traceID: traceID, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), usedAt: time.Now(),
	}
	mu.Lock()
	connections[c] = true
	if traceID == "" {
		traceID = newTraceID()
	}
	c.say(object{
		"type": "ready", "protocol": "runwire", "version": 1, "connection_id": newID(), "trace_id": traceID,
		"limits": limits, "features": features,
	})
	if draining {
		c.sayDraining()
	}
	if drained {
		c.close(4000)
	}
	mu.Unlock()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.receive(&frameReader{in: in, onControl: c.control, onPart: c.arriving, onExcess: c.throttle})
	}()
	c.write(gone)
	mu.Lock()
	for _, reader := range append(c.left, c.cursors...) {
		reader.run.detach(c.wake, c.byServer)
	}
	delete(connections, c)
	mu.Unlock()
	c.conn.Close()
}

// say queues a message that belongs to no log.
func (c *connection) say(message object) {
	c.answers = append(c.answers, encode(message))
	nudge(c.wake)
}

// sayDraining tells that the server takes on no new runs.
func (c *connection) sayDraining() {
	c.say(object{"type": "notice", "code": "draining", "data": "the server will close"})
}

// arriving notes that bytes of a frame have come that is not whole: no Pong can have come [BEAT-12], and the connection
// is used [LIMIT-5].
func (c *connection) arriving() {
	mu.Lock()
	defer mu.Unlock()
	c.usedAt = time.Now()
	if !c.askedAt.IsZero() {
		c.askedAt = time.Now()
	}
}

// throttle tells a client that it sends too many frames [LIMIT-9].
func (c *connection) throttle() {
	mu.Lock()
	defer mu.Unlock()
	c.say(object{"type": "error", "data": "too many frames", "code": "rate_limited", "retryable": true})
}

// close has the connection closed when all that was answered is sent.
func (c *connection) close(code int) {
	if c.goodbye == nil {
		c.goodbye, c.byServer = closeFrame(code), true
	}
	nudge(c.wake)
}

// What comes in

// receive reads until the client is gone, and answers until the connection is to be closed.
func (c *connection) receive(frames *frameReader) {
	for {
		isText, payload, err := frames.message()
		mu.Lock()
		var code closing
		switch {
		case errors.As(err, &code):
			c.close(int(code))
		case err == nil && c.goodbye == nil && !isText:
			c.close(1003)
		case err == nil && c.goodbye == nil:
			c.handle(string(payload))
		}
		isFull := len(c.answers) > mostAnswers
		mu.Unlock()
		if err != nil {
			if code != 0 {
				discard(frames.in)
			}
			return
		}
		if isFull {
			<-c.room
		}
	}
}

// discard reads what a client still sends, so that no reset overtakes the Close frame.
func discard(in *bufio.Reader) {
	for _, err := in.Discard(4096); err == nil; _, err = in.Discard(4096) {
	}
}

func (c *connection) control(opcode byte, payload []byte) {
	mu.Lock()
	defer mu.Unlock()
	switch opcode {
	case opPong:
		c.askedAt = time.Time{}
	case opPing:
		if len(c.controls) < mostAnswers {
			c.controls = append(c.controls, frameOf(opPong, payload))
		}
	case opClose:
		if len(payload) > 2 {
			payload = payload[:2]
		}
		c.goodbye = frameOf(opClose, payload)
	}
	nudge(c.wake)
}

// handle carries out one message, or refuses it without effect.
func (c *connection) handle(text string) {
	message, err := read(text)
	if errors.Is(err, errNoMessage) {
		c.close(4400)
		return
	}
	name := ""
	if err == nil {
		name, err = understand(message)
	}
	if err == nil {
		err = c.carryOut(name, message)
	}
	var refused *refusal
	if errors.As(err, &refused) {
		c.usedAt = time.Now() // a message that is refused is use, too [LIMIT-5]
		c.say(answering(message, object{
			"type": "error", "data": refused.text, "code": refused.code, "retryable": isRetryable[refused.code],
		}))
	}
}

func (c *connection) carryOut(name string, message object) error {
	if name == "heartbeat" {
		c.say(answering(message, object{"type": "heartbeat"}))
		return nil
	}
	c.usedAt = time.Now()
	switch name {
	case "start":
		return c.start(message)
	case "resume":
		return c.resume(message)
	case "cancel":
		c.cancel(message)
		return nil
	case "input":
		return refuse("unsupported", "agents do not ask here")
	}
	c.say(answering(message, object{"type": "notice", "code": "unknown_type", "data": "a type that is not known here"}))
	return nil
}

// followed returns the unfinished runs that the connection follows.
func (c *connection) followed() (found []*run) {
	for _, reader := range c.cursors {
		if !reader.run.finished() {
			found = append(found, reader.run)
		}
	}
	return found
}

func (c *connection) start(start object) error {
	known := runs[textOf(start, "run_id")]
	if known == nil || known.hasBody(start) {
		if err := c.checkRoom(known, start["run_id"] != nil); err != nil {
			return err
		}
	}
	run, isNew, err := begin(start, c.traceID)
	if err != nil {
		return err
	}
	c.say(answering(start, run.started()))
	if !isNew {
		c.say(run.resumed(0))
	}
	c.follow(run, 0)
	return nil
}

func (c *connection) resume(message object) error {
	run, err := find(textOf(message, "run_id"))
	if err != nil {
		return err
	}
	after := cursorOf(message["after"])
	if epoch, given := message["epoch"]; given && epoch != run.epoch {
		return refuse("not_found", "this log is gone")
	}
	if after > len(run.log) {
		return refuse("bad_request", "after is beyond the end of the log")
	}
	if err := c.checkRoom(run, true); err != nil {
		return err
	}
	c.say(answering(message, run.resumed(after)))
	c.follow(run, after)
	return nil
}

// checkRoom refuses one run more than the connection may follow.
func (c *connection) checkRoom(further *run, isNamed bool) error {
	followed := c.followed()
	if len(followed) > 0 && !isNamed {
		return refuse("busy", "a run is in progress")
	}
	for _, run := range followed {
		if run == further {
			return nil
		}
	}
	if (further == nil || !further.finished()) && len(followed) >= int(limits["runs_per_connection"]) {
		return refuse("busy", "the connection follows as many runs as it may")
	}
	return nil
}

// follow sets the one reader of a run on this connection.
func (c *connection) follow(run *run, after int) {
	for _, reader := range c.cursors {
		if reader.run == run {
			reader.after = after
			return
		}
	}
	run.attach(c.wake)
	c.cursors = append(c.cursors, &cursor{run, after})
}

func (c *connection) cancel(message object) {
	found := c.followed()
	if runID, given := message["run_id"]; given {
		found = nil
		if named := runs[runID.(string)]; named != nil && !named.finished() {
			found = []*run{named}
		}
	}
	if len(found) == 0 {
		c.say(answering(message, object{"type": "notice", "code": "not_active", "data": "no unfinished run"}))
	}
	for _, run := range found {
		run.cancel("user")
	}
}

// What goes out

// write sends control frames and answers first, then one event of each run in turn; it fills silence with heartbeats.
func (c *connection) write(gone chan struct{}) {
	spokeAt, pingedAt := time.Now(), time.Now()
	for {
		mu.Lock()
		frame, isMessage := c.next()
		idle := c.usedAt.Add(seconds("idle_s", 1))
		follows, asked, moved := len(c.cursors) > 0, c.askedAt, c.movedAt
		mu.Unlock()
		if frame != nil {
			if !c.send(frame) {
				return
			}
			if isMessage {
				spokeAt = time.Now()
			}
			if frame[0] == 0x80|opClose {
				c.sayGoodbye(gone)
				return
			}
		}
		now := time.Now()
		if moved.After(asked) && !asked.IsZero() {
			asked = moved // a Ping that waits behind data is not overdue
		}
		switch {
		case !asked.IsZero() && now.Sub(asked) > seconds("pong_timeout_s", 1):
			mu.Lock()
			c.byServer = true
			mu.Unlock()
			_ = c.send(closeFrame(1011))
			c.sayGoodbye(gone)
			return
		case now.Sub(pingedAt) > seconds("heartbeat_s", 0.7):
			pingedAt = now
			mu.Lock()
			c.controls = append(c.controls, frameOf(opPing, nil))
			if c.askedAt.IsZero() {
				c.askedAt = now
			}
			mu.Unlock()
			continue
		case frame != nil:
			continue
		case !follows && !now.Before(idle):
			mu.Lock()
			c.close(1000)
			mu.Unlock()
			continue
		case now.Sub(spokeAt) >= seconds("heartbeat_s", 0.9):
			mu.Lock()
			c.say(object{"type": "heartbeat"})
			mu.Unlock()
			continue
		}
		until := spokeAt.Add(seconds("heartbeat_s", 0.9))
		for _, other := range []time.Time{pingedAt.Add(seconds("heartbeat_s", 0.71)), idle} {
			if other.Before(until) && (other != idle || !follows) {
				until = other
			}
		}
		if other := asked.Add(seconds("pong_timeout_s", 1.01)); !asked.IsZero() && other.Before(until) {
			until = other
		}
		timer := time.NewTimer(time.Until(until))
		select {
		case <-c.wake:
		case <-timer.C:
		case <-gone:
			c.farewell()
			return
		}
		timer.Stop()
	}
}

// farewell sends what is left to be said to a client that has left.
func (c *connection) farewell() {
	for {
		mu.Lock()
		c.cursors, c.left = nil, append(c.left, c.cursors...)
		frame, _ := c.next()
		mu.Unlock()
		if frame == nil || !c.send(frame) || frame[0] == 0x80|opClose {
			return
		}
	}
}

// next returns the next frame to send, if there is one.
func (c *connection) next() (frame []byte, isMessage bool) {
	if len(c.controls) > 0 {
		frame, c.controls = c.controls[0], c.controls[1:]
		return frame, false
	}
	if len(c.answers) > 0 {
		frame, c.answers = frameOf(opText, []byte(c.answers[0])), c.answers[1:]
		nudge(c.room)
		return frame, true
	}
	if c.goodbye != nil {
		return c.goodbye, false
	}
	for turn := 0; turn < len(c.cursors); turn++ {
		reader := c.cursors[0]
		c.cursors = append(c.cursors[1:], reader)
		if reader.after < len(reader.run.log) {
			frame = frameOf(opText, []byte(reader.run.log[reader.after]))
			reader.after++
		}
		if reader.run.finished() && reader.after == len(reader.run.log) {
			c.cursors = c.cursors[:len(c.cursors)-1]
			reader.run.detach(c.wake, true)
			c.usedAt = time.Now()
			turn--
		}
		if frame != nil {
			return frame, true
		}
	}
	return nil, false
}

// send writes a frame; it returns false when the client is gone, or takes nothing for pong_timeout_s.
func (c *connection) send(frame []byte) bool {
	isTimeout, ok := writePieces(c.conn, frame, func() {
		mu.Lock()
		c.movedAt = time.Now()
		mu.Unlock()
	})
	if isTimeout {
		mu.Lock()
		c.byServer = true
		mu.Unlock()
	}
	return ok
}

// writePieces writes in pieces, each of which the socket has to take in time; it tells of those that had to wait.
func writePieces(conn net.Conn, data []byte, onWaited func()) (isTimeout, ok bool) {
	for len(data) > 0 {
		piece := data
		if len(piece) > pieceBytes {
			piece = piece[:pieceBytes]
		}
		begun := time.Now()
		_ = conn.SetWriteDeadline(begun.Add(seconds("pong_timeout_s", 1)))
		if _, err := conn.Write(piece); err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded), false
		}
		if time.Since(begun) > 5*time.Millisecond {
			onWaited()
		}
		data = data[len(piece):]
	}
	return false, true
}

// sayGoodbye waits for the client's Close frame, for a second.
func (c *connection) sayGoodbye(gone chan struct{}) {
	if tcp, is := c.conn.(*net.TCPConn); is && c.byServer {
		_ = tcp.SetReadDeadline(time.Now().Add(time.Second))
	}
	select {
	case <-gone:
	case <-time.After(time.Second):
	}
}
