// A Runwire server on Go's standard library, written from the specification alone: core, resume, sse, script_agent.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	port, err := readCommandLine(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Printf("Runwire on Go at http://%s\n", listener.Addr())
	server := &http.Server{Handler: http.HandlerFunc(answer), ErrorLog: log.New(io.Discard, "", 0)}
	go func() { log.Fatal(server.Serve(listener)) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	drain()
}

// drain takes on no new runs, lets those there are end for drain_s, and sends everyone away.
func drain() {
	until := time.Now().Add(seconds("drain_s", 1))
	mu.Lock()
	draining = true
	for connection := range connections {
		connection.sayDraining()
	}
	mu.Unlock()
	soon(seconds("drain_s", 1), func() bool { return unfinished == 0 })
	mu.Lock()
	for _, run := range runs {
		run.fail("worker_lost", "the server was stopped", nil)
	}
	mu.Unlock()
	// Readers that lag are sent the rest of their logs [DRAIN-6].
	soon(atLeast(time.Second, time.Until(until)), func() bool {
		for connection := range connections {
			if len(connection.cursors) > 0 {
				return false
			}
		}
		return true
	})
	mu.Lock()
	drained = true
	for connection := range connections {
		connection.close(4000)
	}
	mu.Unlock()
	soon(atLeast(2*time.Second, time.Until(until)), func() bool {
		readers := 0
		for _, count := range places {
			readers += count
		}
		return readers == 0
	})
}

func atLeast(least, span time.Duration) time.Duration {
	if span < least {
		return least
	}
	return span
}

// soon waits until something is so, or so long.
func soon(most time.Duration, isSo func() bool) {
	for until := time.Now().Add(most); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		mu.Lock()
		is := isSo()
		mu.Unlock()
		if is {
			return
		}
	}
}
