package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Every limit of the registry; names that end in _s are seconds, in _ms milliseconds.
var limits = map[string]float64{
	"max_message_bytes": 1048576, "max_event_bytes": 262144, "json_depth": 32, "connections_per_principal": 10,
	"runs_per_connection": 4, "runs_per_principal": 100, "idle_s": 3600, "run_s": 600, "input_s": 600,
	"heartbeat_s": 15, "pong_timeout_s": 20, "detach_grace_s": 30, "resume_window_s": 300, "cancel_quiet_ms": 500,
	"cancel_deadline_ms": 2000, "send_buffer_bytes": 1048576, "log_bytes": 16777216, "kept_bytes_per_principal": 268435456, "worker_lost_s": 30,
	"drain_s": 30,
}

var features = []string{"robust", "resume", "sse"}

// The HTTP status of each code that refuses something.
var statusOf = map[string]int{
	"bad_request": 400, "unauthorized": 401, "forbidden": 403, "not_found": 404, "conflict": 409,
	"input_expired": 410, "payload_too_large": 413, "unsupported": 415, "busy": 429, "rate_limited": 429,
	"internal": 500, "unavailable": 503,
}

var isRetryable = map[string]bool{
	"busy": true, "rate_limited": true, "internal": true, "unavailable": true, "timeout": true,
	"upstream_error": true, "worker_lost": true,
}

// Codes whose `retryable` a server may know better.
var isOverridable = map[string]bool{
	"internal": true, "timeout": true, "content_filtered": true, "agent_error": true, "upstream_error": true,
}

// vendors matches the names of a vendor.
var vendors = regexp.MustCompile(`^[^:]+:(?s:.)`)

// isTerminalCode says whether a code may end a run.
func isTerminalCode(code string) bool {
	return code == "payload_too_large" || code == "worker_lost" || isOverridable[code] || vendors.MatchString(code)
}

// refusal is why a message or request has no effect.
type refusal struct{ code, text string }

func (r *refusal) Error() string { return r.text }

func refuse(code, text string) error { return &refusal{code, text} }

// seconds returns a limit as a duration, as a part of it where it is to be undercut.
func seconds(name string, part float64) time.Duration {
	return time.Duration(limits[name] * part * float64(time.Second))
}

// readCommandLine reads --name=value for every limit; it returns the port.
func readCommandLine(words []string) (port int, err error) {
	port = 8080
	for _, word := range words {
		option, value, _ := strings.Cut(word, "=")
		name := strings.ReplaceAll(strings.TrimPrefix(option, "--"), "-", "_")
		number, wrong := strconv.ParseFloat(value, 64)
		_, isLimit := limits[name]
		switch {
		case wrong == nil && name == "port":
			port = int(number)
		case wrong == nil && isLimit:
			limits[name] = number
		default:
			return 0, fmt.Errorf("unknown option %s: there are --port=N and the limits of the registry", word)
		}
	}
	return port, nil
}
