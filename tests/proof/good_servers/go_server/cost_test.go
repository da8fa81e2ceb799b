package main

import (
	"encoding/json"
	"os"
	"syscall"
	"testing"
)

// spent returns the seconds of processor time that the process has taken.
func spent() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// TestCost reads each text of the file TEXTS, a list of lists, and writes the seconds that it took to the file COSTS.
func TestCost(t *testing.T) {
	given, err := os.ReadFile(os.Getenv("TEXTS"))
	if err != nil {
		t.Skip("TEXTS names no file of texts")
	}
	var texts [][]string
	if err := json.Unmarshal(given, &texts); err != nil {
		t.Fatal(err)
	}
	costs := make([][]float64, len(texts))
	for number, sizes := range texts {
		for _, text := range sizes {
			least := 1e9
			for trial := 0; trial < 3; trial++ {
				began := spent()
				if message, err := read(text); err == nil {
					_, _ = understand(message)
				}
				if cost := spent() - began; cost < least {
					least = cost
				}
			}
			costs[number] = append(costs[number], least)
		}
	}
	written, _ := json.Marshal(costs)
	if err := os.WriteFile(os.Getenv("COSTS"), written, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDeep has a text refused whose nesting would take a stack of its own.
func TestDeep(t *testing.T) {
	text := make([]byte, 1<<20)
	for place := range text {
		text[place] = '['
	}
	if _, err := read(string(text)); err == nil || err == errNoMessage {
		t.Fatalf("came %v", err)
	}
}
