// Package histories records what clients of a chat sent and received, and finds what must not
// have happened: messages that were lost, doubled, reordered, made up, or stored although they
// were refused. It works like Jepsen: its input is one fact per event on one monotonic clock, its
// output a list of anomalies, and it does not depend on the implementation.
package histories

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Kind is what happened.
type Kind string

const (
	// Invoke: a client is about to send message ID. Recorded for every attempt.
	Invoke Kind = "invoke"
	// OK, Fail and Info end an attempt: the message was acknowledged as Seq; it was refused for
	// good; the outcome is unknown (connection lost, timeout, UNAVAILABLE, INTERNAL).
	OK   Kind = "ok"
	Fail Kind = "fail"
	Info Kind = "info"
	// Sub: from now on the client must receive every message after Seq.
	Sub Kind = "sub"
	// Recv: the client received message ID as Seq.
	Recv Kind = "recv"
	// Gap: the client was notified that it cannot receive Seq to To.
	Gap Kind = "gap"
	// End: no message has been sent for a while and the client is connected, so it must have
	// received all of them.
	End Kind = "end"
	// Final: Log is the history of the room at the end, ascending.
	Final Kind = "final"
)

// Event is one fact.
type Event struct {
	At     time.Duration `json:"at"` // since NewRecorder
	Kind   Kind          `json:"kind"`
	Client string        `json:"client,omitempty"`
	Room   string        `json:"room"`
	ID     string        `json:"id,omitempty"` // of the message; its sender chose it
	Seq    uint64        `json:"seq,omitempty"`
	To     uint64        `json:"to,omitempty"`
	Log    []Entry       `json:"log,omitempty"`
}

// Entry is one message of a Final.
type Entry struct {
	Seq uint64 `json:"seq"`
	ID  string `json:"id"`
}

// Recorder collects events. Its methods may be called concurrently; the order of
// events is that of the calls.
type Recorder struct {
	start time.Time // static

	mu     sync.Mutex // guards the following
	events []Event
}

// NewRecorder returns an empty recorder, whose clock starts now.
func NewRecorder() *Recorder { return &Recorder{start: time.Now()} }

// Add records an event at the current time. Record Invoke before the bytes are sent and the other
// kinds after they are parsed: then the order of events is a possible order.
func (r *Recorder) Add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At = time.Since(r.start)
	r.events = append(r.events, e)
}

// Events returns the events recorded so far.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// Write writes events as JSON lines.
func Write(w io.Writer, events []Event) error {
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	for i := range events {
		if err := enc.Encode(&events[i]); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
	}
	return buf.Flush()
}

// Read reads the events that Write wrote.
func Read(r io.Reader) (events []Event, err error) {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	for {
		var e Event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return events, nil
		} else if err != nil {
			return nil, fmt.Errorf("event %d: %w", len(events)+1, err)
		}
		events = append(events, e)
	}
}
