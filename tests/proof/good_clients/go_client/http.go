package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type answered struct {
	response *http.Response
	err      error
}

// overStream follows the run over server-sent events, and polls where nothing comes of them.
func (c *client) overStream() (bool, error) {
	came := make(chan answered, 1)
	go func() {
		var one answered
		if c.run.accepted {
			one.response, one.err = c.request("GET", c.endpoint("runs")+"/"+c.run.id+"/events", "text/event-stream", nil)
		} else {
			said := c.opening()
			delete(said, "type")
			body, _ := json.Marshal(said)
			one.response, one.err = c.request("POST", c.endpoint("runs"), "text/event-stream", body)
		}
		came <- one
	}()
	select {
	case one := <-came:
		if one.err != nil {
			return false, errAgain
		}
		defer one.response.Body.Close()
		return c.read(one.response)
	case <-time.After(openWithin):
		return c.poll() // [FALL-3]
	}
}

func (c *client) read(response *http.Response) (bool, error) {
	media := response.Header.Get("Content-Type")
	if strings.HasPrefix(media, "application/problem+json") {
		body, _ := io.ReadAll(response.Body)
		said := message{}
		json.Unmarshal(body, &said)
		if response.StatusCode == 401 {
			return false, c.renew()
		}
		c.run.asked = ""
		return false, c.run.refused(said)
	}
	if response.StatusCode != 200 || !strings.HasPrefix(media, "text/event-stream") {
		return false, errAgain // [HTTP-22]
	}
	silent := time.AfterFunc(c.silence(), func() { response.Body.Close() })
	defer silent.Stop()
	err := events(response.Body, func() { silent.Reset(c.silence()) }, func(data string) error {
		said := message{}
		if json.Unmarshal([]byte(data), &said) != nil {
			return nil
		}
		return c.run.take(said)
	})
	var end stopped
	if errors.Is(err, errEnded) || errors.As(err, &end) {
		return false, err
	}
	return true, errAgain // [SSE-23]
}

// poll reads the log piece by piece, or looks at the run where the server offers no more.
func (c *client) poll() (bool, error) {
	features, _ := c.discovered["features"].([]any)
	offered := false
	for _, name := range features {
		offered = offered || name == "poll"
	}
	for {
		where := c.endpoint("runs") + "/" + c.run.id
		if offered {
			after := fmt.Sprint(c.run.cursor)
			if c.run.epoch != "" {
				after = c.run.epoch + "." + after
			}
			where += "/events?wait=10&after=" + after
		}
		status, _, body, err := c.fetch("GET", where, "application/json", nil)
		page := struct {
			Status, Text, Epoch string
			Events              []message
		}{}
		if err == nil && status == 200 && json.Unmarshal(body, &page) == nil {
			c.run.accepted, c.run.epoch = true, page.Epoch
			for _, one := range page.Events {
				if err := c.run.event(one); err != nil {
					return true, err
				}
			}
			if !offered && page.Status != "running" && page.Status != "queued" && page.Status != "waiting" {
				c.run.text = page.Text
				return false, c.run.end(page.Status)
			}
		}
		time.Sleep(time.Second)
	}
}
