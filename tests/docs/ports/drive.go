// Plays scripts with the Go port: a JSON object a line in, what became of the run a line out.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"ports/scriptagent"
)

type asked struct {
	Prompt        string
	RunID         string `json:"run_id"`
	Answers       map[string]any
	CancelAfterMS *float64 `json:"cancel_after_ms"`
}

type played struct {
	Events []scriptagent.Event `json:"events"`
	End    any                 `json:"end"`
}

var agent scriptagent.Agent

func play(given asked) played {
	result := played{Events: []scriptagent.Event{}, End: "completed"}
	steps, isScript := scriptagent.Parse(given.Prompt)
	if !isScript {
		result.End = "no script"
		return result
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var cancelledAt atomic.Int64
	if given.CancelAfterMS != nil {
		time.AfterFunc(time.Duration(*given.CancelAfterMS*1e6), func() {
			cancelledAt.Store(time.Now().UnixNano())
			cancel()
		})
	}
	opened := map[string]time.Time{}
	run := scriptagent.Run{
		Principal: "alice", RunID: given.RunID,
		CancelledAt: func() time.Time {
			if at := cancelledAt.Load(); at != 0 {
				return time.Unix(0, at)
			}
			return time.Time{}
		},
		NoneOpen: func(context.Context) error {
			for _, closes := range opened {
				time.Sleep(time.Until(closes))
			}
			return nil
		},
		Answer: func(_ context.Context, requestID string) (any, error) {
			closes, known := opened[requestID]
			if !known {
				return nil, &scriptagent.Failed{Code: "agent_error", Data: "echo_input names a request that was not opened"}
			}
			time.Sleep(time.Until(closes))
			return given.Answers[requestID], nil
		},
	}
	err := agent.Play(ctx, steps, run, func(event scriptagent.Event) error {
		if event["type"] == "input_request" {
			opened[event["request_id"].(string)] = time.Now().Add(20 * time.Millisecond)
		}
		result.Events = append(result.Events, event)
		return nil
	})
	var failure *scriptagent.Failed
	if errors.As(err, &failure) {
		result.End = map[string]any{"code": failure.Code, "data": failure.Data, "retryable": failure.Retryable}
	} else if err != nil {
		result.End = "cancelled"
	}
	return result
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		var given asked
		if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
			panic(err)
		}
		if err := out.Encode(play(given)); err != nil {
			panic(err)
		}
	}
}
