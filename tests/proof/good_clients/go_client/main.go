// A client of Runwire, written from the specification alone. It takes part in the scenarios of `runwire check-client`.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const openWithin = 5 * time.Second // chapter 9, "Falling back"

type client struct {
	base, token, transport string
	auto                   bool
	run                    *run
	discovered             message
	heartbeat              float64
	failures, furthest, id int
	socket                 *socket
	cancelled              bool
}

func main() {
	rand.Seed(time.Now().UnixNano())
	c := &client{base: os.Getenv("RUNWIRE_URL"), token: os.Getenv("RUNWIRE_TOKEN"), heartbeat: 15}
	c.transport, c.auto = os.Getenv("RUNWIRE_TRANSPORT"), os.Getenv("RUNWIRE_TRANSPORT") == "auto"
	if c.auto {
		c.transport = "websocket"
	}
	c.run = newRun(c.onText)
	c.takeUp(os.Getenv("RUNWIRE_RUN"), os.Getenv("RUNWIRE_CURSOR"))
	for {
		atOnce, err := c.attempt()
		var end stopped
		if errors.As(err, &end) {
			report(message{"gave_up": end.why})
			return
		}
		if errors.Is(err, errEnded) {
			return
		}
		time.Sleep(c.wait(atOnce))
	}
}

// takeUp goes on with a run that somebody else began, at a cursor [SSE-14].
func (c *client) takeUp(id, cursor string) {
	at := strings.LastIndex(cursor, ".")
	if id == "" || at < 0 {
		return
	}
	c.run.id, c.run.accepted, c.run.epoch = id, true, cursor[:at]
	c.run.cursor, _ = strconv.Atoi(cursor[at+1:])
	c.furthest = c.run.cursor
}

// wait is growing back-off with full jitter for whoever got no further [CLOSE-7], [CLOSE-9].
func (c *client) wait(atOnce bool) time.Duration {
	moved := c.run.cursor > c.furthest
	if moved {
		c.furthest, c.failures = c.run.cursor, 0
	}
	if moved && atOnce {
		return 0
	}
	c.failures++
	return time.Duration(rand.Float64() * math.Min(20, 0.25*math.Pow(2, float64(c.failures))) * float64(time.Second))
}

func (c *client) isSocket() bool { return strings.HasPrefix(c.base, "ws") }

func (c *client) silence() time.Duration { // [BEAT-11]
	return time.Duration(3 * c.heartbeat * float64(time.Second))
}

// credential is the token for a URL: it goes to the origin of discovery alone [CONN-5].
func (c *client) credential(where string) string {
	there, err := url.Parse(where)
	own, _ := url.Parse(c.base)
	if err != nil || there.Host != own.Host {
		return ""
	}
	return c.token
}

func (c *client) endpoint(name string) string {
	base, _ := url.Parse(c.base + "/.well-known/runwire")
	endpoints, _ := c.discovered["endpoints"].(map[string]any)
	where, _ := endpoints[name].(string)
	found, err := base.Parse(where)
	if err != nil || where == "" {
		return ""
	}
	return found.String()
}

func (c *client) discover() error {
	status, _, body, err := c.fetch("GET", c.base+"/.well-known/runwire", "", nil)
	if err != nil {
		return err
	}
	found := message{}
	if json.Unmarshal(body, &found) != nil || status != 200 {
		if status == 401 || status == 403 {
			return stopped{fmt.Sprint("discovery answers ", status)}
		}
		return errAgain
	}
	c.discovered = found
	c.beat(found)
	return nil
}

func (c *client) beat(said message) {
	limits, _ := said["limits"].(map[string]any)
	if stated, is := limits["heartbeat_s"].(float64); is && stated > 0 {
		c.heartbeat = stated
	}
}

func (c *client) attempt() (bool, error) {
	if c.discovered == nil && !c.isSocket() {
		if err := c.discover(); err != nil {
			return false, err
		}
	}
	if c.transport == "sse" {
		return c.overStream()
	}
	return c.overSocket()
}

func (c *client) opening() message {
	if c.run.accepted {
		return message{"type": "resume", "run_id": c.run.id, "after": c.run.cursor, "epoch": c.run.epoch} // [RESUME-22]
	}
	return message{"type": "start", "prompt": os.Getenv("RUNWIRE_PROMPT"), "run_id": c.run.id} // [RUN-12]
}

func (c *client) say(said message) string {
	c.id++ // [MSG-32]
	said["id"] = strconv.Itoa(c.id)
	text, _ := json.Marshal(said)
	c.socket.write(1, text)
	return strconv.Itoa(c.id)
}

func (c *client) onText() {
	if os.Getenv("RUNWIRE_ACT") != "cancel" || c.cancelled {
		return
	}
	c.cancelled = true
	if c.socket != nil {
		c.say(message{"type": "cancel", "run_id": c.run.id})
	} else {
		go c.fetch("POST", c.endpoint("runs")+"/"+c.run.id+"/cancel", "", []byte("{}"))
	}
}

func (c *client) overSocket() (bool, error) {
	where := c.base
	if !c.isSocket() {
		where = strings.Replace(c.endpoint("websocket"), "http", "ws", 1)
	}
	opened, err := dial(where, c.credential(where), openWithin)
	if err != nil {
		return c.fallBack()
	}
	c.socket = opened
	defer func() { opened.close(); c.socket = nil }()
	if c.isSocket() { // a basic server does not greet [CONN-20]
		c.run.asked = c.say(c.opening())
	}
	greeted := false
	for {
		within := openWithin
		if greeted || c.isSocket() {
			within = c.silence()
		}
		text, err := opened.read(within)
		if err != nil {
			var end closed
			errors.As(err, &end)
			if !greeted && (end.code < 4000 || end.code > 4499) {
				return c.fallBack()
			}
			return c.afterClose(end.code)
		}
		said := message{}
		if json.Unmarshal([]byte(text), &said) != nil {
			continue
		}
		if !greeted {
			greeted = true
			if err := c.greeted(said); err != nil {
				return false, err
			}
		}
		if err := c.run.take(said); errors.Is(err, errHole) {
			time.Sleep(c.wait(true))
			c.run.asked = c.say(c.opening()) // [RESUME-21]
		} else if err != nil {
			return false, err
		}
	}
}

func (c *client) greeted(said message) error {
	if said.word("type") != "ready" { // [CONN-14]
		c.run.basic = true
		return nil
	}
	version, _ := said.number("version")
	if said.word("protocol") != "runwire" || version != 1 { // [CONN-13]
		return stopped{"another protocol"}
	}
	c.beat(said)
	if !c.isSocket() {
		c.run.asked = c.say(c.opening())
	}
	return nil
}

func (c *client) afterClose(code int) (bool, error) {
	switch {
	case c.run.basic:
		return false, stopped{"this server cannot resume"}
	case code/100 == 40: // [CLOSE-4]
		return true, errAgain
	case code/100 == 41: // [CLOSE-5]
		return false, c.renew()
	case code/100 == 44: // [CLOSE-6]
		return false, stopped{fmt.Sprint("closed with ", code)}
	case !c.run.accepted && strings.Contains("1002 1003 1007 1008 1009", strconv.Itoa(code)): // [CLOSE-8]
		return false, stopped{fmt.Sprint("closed with ", code)}
	}
	return false, errAgain // [CLOSE-7]
}

func (c *client) renew() error {
	_, _, body, err := c.fetch("GET", os.Getenv("RUNWIRE_TOKEN_URL"), "", nil)
	fresh := message{}
	if err != nil || json.Unmarshal(body, &fresh) != nil || fresh.word("token") == "" {
		return stopped{"no new credential"}
	}
	c.token = fresh.word("token")
	return errAgain
}

func (c *client) fallBack() (bool, error) {
	if c.auto {
		if err := c.discover(); err != nil { // [FALL-2]
			return false, err
		}
		c.transport = "sse"
	}
	return false, errAgain
}

func (c *client) request(method, where, accept string, body []byte) (*http.Response, error) {
	asked, err := http.NewRequest(method, where, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if accept != "" {
		asked.Header.Set("Accept", accept)
	}
	if method == "POST" {
		asked.Header.Set("Content-Type", "application/json")
	}
	if token := c.credential(where); token != "" {
		asked.Header.Set("Authorization", "Bearer "+token)
	}
	if accept == "text/event-stream" && method == "GET" {
		asked.Header.Set("Last-Event-ID", fmt.Sprintf("%s.%d", c.run.epoch, c.run.cursor))
	}
	return http.DefaultTransport.RoundTrip(asked)
}

func (c *client) fetch(method, where, accept string, body []byte) (int, string, []byte, error) {
	answer, err := c.request(method, where, accept, body)
	if err != nil {
		return 0, "", nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header.Get("Content-Type"), content, err
}
