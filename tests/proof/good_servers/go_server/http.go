package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

const loopback = `(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?`

var (
	hosts   = regexp.MustCompile(`(?i)^` + loopback + `$`)
	origins = regexp.MustCompile(`^https?://` + loopback + `$`)
	paths   = regexp.MustCompile(`^/v1/runs/([^/]+)(/events|/cancel)?$`)
	cursors = regexp.MustCompile(`^(?:([A-Za-z0-9_-]{1,64})\.)?(0|[1-9][0-9]{0,15})$`)
)

// exchange is one request with its answer.
type exchange struct {
	*http.Request
	http.ResponseWriter
}

// problem refuses a request with a status and a text.
func (x *exchange) problem(status int, code, text string) {
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		x.ResponseWriter.Header().Set("Retry-After", "1")
	}
	x.ResponseWriter.Header().Set("Content-Type", "application/problem+json")
	x.WriteHeader(status)
	_, _ = io.WriteString(x.ResponseWriter, encode(object{
		"title": http.StatusText(status), "status": status, "detail": text, "code": code, "retryable": isRetryable[code],
	}))
}

func (x *exchange) refuse(err error) {
	var refused *refusal
	if !errors.As(err, &refused) {
		refused = &refusal{"internal", "a fault of the server"}
	}
	x.problem(statusOf[refused.code], refused.code, refused.text)
}

func (x *exchange) json(status int, body object) {
	x.ResponseWriter.Header().Set("Content-Type", "application/json")
	x.WriteHeader(status)
	_, _ = io.WriteString(x.ResponseWriter, encode(body))
}

// allows answers 405 to a method other than this one.
func (x *exchange) allows(method string) bool {
	if x.Method == method {
		return true
	}
	x.ResponseWriter.Header().Set("Allow", method)
	x.problem(http.StatusMethodNotAllowed, "unsupported", "this method is not served here")
	return false
}

// answer answers one request: who comes in, then what is asked.
func answer(w http.ResponseWriter, request *http.Request) {
	x := &exchange{request, w}
	header := w.Header()
	header.Add("Vary", "Origin")
	path := request.URL.Path
	if strings.HasPrefix(path, "/v1/runs") {
		header.Set("Cache-Control", "no-store")
	}
	given := request.Header.Values("Origin")
	if !hosts.MatchString(request.Host) {
		x.problem(http.StatusForbidden, "forbidden", "this server is not known by that name")
		return
	}
	if len(given) > 1 || (len(given) == 1 && !origins.MatchString(given[0])) {
		x.problem(http.StatusForbidden, "forbidden", "pages of this origin are not admitted")
		return
	}
	if len(given) == 1 {
		header.Set("Access-Control-Allow-Origin", given[0])
		header.Set("Access-Control-Expose-Headers", "Location, Retry-After, WWW-Authenticate")
		if request.Method == http.MethodOptions && request.Header.Get("Access-Control-Request-Method") != "" {
			header.Set("Access-Control-Allow-Methods", "GET, POST")
			header.Set("Access-Control-Allow-Headers", "Content-Type, Accept, Authorization, Last-Event-ID")
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	found := paths.FindStringSubmatch(path)
	switch {
	case path == "/.well-known/runwire" && x.allows("GET"):
		x.discover()
	case path == "/ws/generate" && x.allows("GET"):
		x.upgrade()
	case path == "/v1/runs" && x.allows("POST"):
		x.start()
	case found != nil && found[2] == "" && x.allows("GET"):
		x.status(found[1])
	case found != nil && found[2] == "/events" && x.allows("GET"):
		x.events(found[1])
	case found != nil && found[2] == "/cancel" && x.allows("POST"):
		x.cancel(found[1])
	case found == nil && path != "/.well-known/runwire" && path != "/ws/generate" && path != "/v1/runs":
		x.problem(http.StatusNotFound, "not_found", "nothing is served here")
	}
}

func (x *exchange) discover() {
	x.json(http.StatusOK, object{
		"protocol": "runwire", "versions": []int{1}, "features": features, "limits": limits,
		"endpoints": object{"websocket": "../ws/generate", "runs": "../v1/runs"}, "auth": []string{"none"},
		"script_agent": true, "server": object{"name": "good-go", "version": "1.0"},
	})
}

// address returns where a request comes from, which stands for the principal where connections are counted.
func (x *exchange) address() string {
	host, _, _ := net.SplitHostPort(x.RemoteAddr)
	return host
}

// headerTraceID returns the trace id of the one valid traceparent header.
func (x *exchange) headerTraceID() string {
	if given := x.Request.Header.Values("Traceparent"); len(given) == 1 {
		return traceIDOf(given[0])
	}
	return ""
}

// words returns the elements of a header that is a list.
func (x *exchange) words(name string) (found []string) {
	for _, word := range strings.Split(strings.Join(x.Request.Header.Values(name), ","), ",") {
		if word = strings.TrimSpace(word); word != "" {
			found = append(found, word)
		}
	}
	return found
}

func has(words []string, wanted string) bool {
	for _, word := range words {
		if strings.EqualFold(word, wanted) {
			return true
		}
	}
	return false
}

// upgrade makes a WebSocket of a request, or refuses that over HTTP.
func (x *exchange) upgrade() {
	header := x.ResponseWriter.Header()
	offered := x.words("Sec-WebSocket-Protocol")
	key, err := base64.StdEncoding.DecodeString(x.Request.Header.Get("Sec-WebSocket-Key"))
	switch {
	case !has(x.words("Upgrade"), "websocket") || !has(x.words("Connection"), "upgrade"):
		header.Set("Upgrade", "websocket")
		x.problem(http.StatusUpgradeRequired, "unsupported", "this is a WebSocket")
	case x.Request.Header.Get("Sec-WebSocket-Version") != "13":
		header.Set("Upgrade", "websocket")
		header.Set("Sec-WebSocket-Version", "13")
		x.problem(http.StatusUpgradeRequired, "unsupported", "the version of WebSocket is 13")
	case err != nil || len(key) != 16:
		x.problem(http.StatusBadRequest, "bad_request", "the key of the handshake is missing or malformed")
	case len(offered) > 0 && !strings.Contains(","+strings.Join(offered, ",")+",", ",runwire.v1,"):
		x.problem(http.StatusBadRequest, "bad_request", "offer runwire.v1, or nothing")
	case !takePlace(x.address()):
		x.problem(http.StatusTooManyRequests, "busy", "too many connections")
	default:
		defer leavePlace(x.address())
		conn, buffered, err := x.ResponseWriter.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		keepLittle(conn)
		protocol := ""
		if len(offered) > 0 {
			protocol = "Sec-WebSocket-Protocol: runwire.v1\r\n"
		}
		accepted := acceptKey(x.Request.Header.Get("Sec-WebSocket-Key"))
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: %s\r\n%s\r\n", accepted, protocol)
		serve(conn, buffered.Reader, x.headerTraceID())
	}
}

// body returns the object in the body of a POST.
func (x *exchange) body(mayBeEmpty bool) (object, error) {
	media, _, _ := strings.Cut(x.Request.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		return nil, refuse("unsupported", "Content-Type has to be application/json")
	}
	most := int64(limits["max_message_bytes"])
	body, err := io.ReadAll(io.LimitReader(x.Request.Body, most+1))
	switch {
	case err != nil:
		return nil, refuse("bad_request", "the body did not arrive")
	case int64(len(body)) > most:
		return nil, refuse("payload_too_large", "the body is too large")
	case len(body) == 0 && mayBeEmpty:
		return object{}, nil
	case !utf8.Valid(body):
		return nil, refuse("bad_request", "the body is not UTF-8")
	}
	value, err := read(string(body))
	if errors.Is(err, errNoMessage) {
		return nil, refuse("bad_request", "the body is no JSON object")
	}
	return value, err
}

// accepts returns the weight that a request gives to a media type, with -1 for one that it does not name.
func (x *exchange) accepts(media string) float64 {
	found := -1.0
	for _, item := range x.words("Accept") {
		parts := strings.Split(item, ";")
		if !strings.EqualFold(strings.TrimSpace(parts[0]), media) {
			continue
		}
		found = 1
		for _, parameter := range parts[1:] {
			name, value, _ := strings.Cut(parameter, "=")
			if weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && strings.TrimSpace(name) == "q" {
				found = weight
			}
		}
	}
	return found
}

func (x *exchange) start() {
	value, err := x.body(false)
	if err == nil {
		if kind, given := value["type"]; given && kind != "start" {
			err = refuse("bad_request", "the body of a start is no other message")
		} else {
			err = check("start", value)
		}
	}
	if err != nil {
		x.refuse(err)
		return
	}
	isStream := x.accepts("text/event-stream") > 0
	if isStream && !takePlace(x.address()) {
		x.problem(http.StatusTooManyRequests, "busy", "too many connections")
		return
	}
	if isStream {
		defer leavePlace(x.address())
	}
	mu.Lock()
	run, isNew, err := begin(value, x.headerTraceID())
	if err != nil {
		mu.Unlock()
		x.refuse(err)
		return
	}
	first := []object{run.started()}
	if !isNew {
		first = append(first, run.resumed(0))
	}
	x.ResponseWriter.Header().Set("Location", "runs/"+run.id+"/events")
	if isStream {
		x.stream(run, 0, first)
		return
	}
	body := object{"run_id": run.id, "epoch": run.epoch, "status": run.status}
	mu.Unlock()
	x.json(http.StatusAccepted, body)
}

func (x *exchange) status(runID string) {
	mu.Lock()
	run, err := find(runID)
	if err != nil {
		mu.Unlock()
		x.refuse(err)
		return
	}
	body := object{"run_id": run.id, "epoch": run.epoch, "status": run.status, "seq": len(run.log), "text": run.text.String()}
	mu.Unlock()
	x.json(http.StatusOK, body)
}

func (x *exchange) cancel(runID string) {
	_, err := x.body(true)
	if err != nil {
		x.refuse(err)
		return
	}
	mu.Lock()
	run, err := find(runID)
	if err != nil {
		mu.Unlock()
		x.refuse(err)
		return
	}
	run.cancel("user")
	body := object{"run_id": run.id, "status": run.status, "seq": len(run.log)}
	mu.Unlock()
	x.json(http.StatusOK, body)
}
