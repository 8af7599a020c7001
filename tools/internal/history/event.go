// Package history records what clients of a chat saw, and finds what must not have
// happened: messages lost, doubled, out of order, made up, or stored although they
// were refused. It is in the manner of Jepsen: facts in, one per event, on one
// monotonic clock; a verdict out, which knows nothing of the implementation.
package history

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
	// Invoke: a client is about to send message ID. Again for every attempt.
	Invoke Kind = "invoke"
	// OK, Fail, Info end an attempt: acknowledged as Seq; refused for good; unknown
	// (connection lost, timeout, UNAVAILABLE, INTERNAL).
	OK   Kind = "ok"
	Fail Kind = "fail"
	Info Kind = "info"
	// Sub: from here on, the client is to be shown everything after Seq.
	Sub Kind = "sub"
	// Recv: the client was shown message ID as Seq.
	Recv Kind = "recv"
	// Gap: the client was told that Seq to To cannot be shown.
	Gap Kind = "gap"
	// End: nothing has been sent for a while and the client is connected, so it
	// must have been shown everything.
	End Kind = "end"
	// Final: the room as its history says at the end, Log, ascending.
	Final Kind = "final"
)

// Event is one fact.
type Event struct {
	At     time.Duration `json:"at"` // since the recorder began
	Kind   Kind          `json:"kind"`
	Client string        `json:"client,omitempty"`
	Room   string        `json:"room"`
	ID     string        `json:"id,omitempty"` // of the message, chosen by its sender
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

// Add notes an event as of now. Note Invoke before the bytes leave, and the other
// kinds after they are understood: then the order of events is one that happened.
func (r *Recorder) Add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At = time.Since(r.start)
	r.events = append(r.events, e)
}

// Events returns what was recorded so far.
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

// Read reads what Write wrote.
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
