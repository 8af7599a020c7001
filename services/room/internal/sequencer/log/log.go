// Package log is the rooms' message log in JetStream: one subject for each room, in a few
// streams. An append is a compare-and-set on the position of the room's last record, so
// any number of writers is safe: one of them succeeds, the others get ErrConflict.
//
// All calls are asynchronous. Their callbacks run where natsconn.Requester runs them: for
// a reply on the goroutine that calls Handle, for a timeout on another one.
package log

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/shared/natsconn"
)

const (
	// AppendTimeout is how long an append waits for its acknowledgement: 20 times
	// the p99 of a replicated stream, and short enough that two more attempts fit
	// into the 5 s a sender waits.
	AppendTimeout = 500 * time.Millisecond

	// ReadTimeout bounds one read. A cold block of a busy disk takes tens of ms.
	ReadTimeout = 1 * time.Second
)

// Requester is the part of *natsconn.Requester that Log uses.
type Requester interface {
	Do(subject string, hdr nats.Header, data []byte, timeout time.Duration, done natsconn.Done)
	DoMany(subject string, hdr nats.Header, data []byte, timeout time.Duration, each natsconn.Each)
}

// Room names the stream and subject of one room's records.
type Room struct {
	Stream  string
	Subject string
}

// RoomOf returns where the room with the given id is stored when there are streams log
// streams.
func RoomOf(id string, streams int) Room {
	token := subject.Token(id)
	shard := subject.ShardOf(token)
	return Room{
		Stream:  subject.LogStream(shard % streams),
		Subject: subject.RoomLog(shard, token),
	}
}

// Stored is one record of the log.
type Stored struct {
	Pos  uint64 // its stream sequence: it grows within a room, with holes
	Data []byte // a wire.Record
}

// Log appends and reads through one Requester. It must not be used concurrently.
type Log struct {
	req     Requester
	observe Observer
	expect  nats.Header // reused: publishing encodes it at once
}

// Observer is called with the outcome of every append; it may be nil.
type Observer func(stream string, err error)

// New returns a Log over req.
func New(req Requester, observe Observer) *Log {
	if observe == nil {
		observe = func(string, error) {}
	}
	return &Log{req: req, observe: observe, expect: nats.Header{nats.ExpectedLastSubjSeqHdr: []string{""}}}
}

// Append stores record as the room's next if the room's last record is the one at
// position expect (0: there is none). done gets the record's position, or an error that
// is ErrConflict (not stored: another writer was faster, or its append is under way),
// ErrUncertain (may be stored or not, now or a little later) or ErrRefused (not stored).
// After an error the log must be read from expect+1 before the next attempt. At most one
// append of a room may be in flight. record is not kept.
func (l *Log) Append(room Room, expect uint64, record []byte, done func(pos uint64, err error)) {
	l.expect[nats.ExpectedLastSubjSeqHdr][0] = strconv.FormatUint(expect, 10)
	l.req.Do(room.Subject, l.expect, record, AppendTimeout, func(m *nats.Msg, err error) {
		var pos uint64
		if err != nil {
			err = fmt.Errorf("append to %s: %w: %w", room.Stream, ErrUncertain, err)
		} else if pos, err = parseAck(m.Data); err != nil {
			err = fmt.Errorf("append to %s: %w", room.Stream, err)
		}
		l.observe(room.Stream, err)
		done(pos, err)
	})
}

// Error codes of the server that mean "another append came first".
const (
	codeWrongLastSequence = 10071 // the room's last record is another one
	codeInProcess         = 10164 // R3: an append of this room is under way
	codeDuplicateInFlight = 10158 // R3: the same, seen by message id
)

type ack struct {
	Seq   uint64    `json:"seq"`
	Error *apiError `json:"error"`
}

type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

// parseAck reads a publish acknowledgement. The common form is read by hand:
// it costs a tenth of what encoding/json does.
func parseAck(b []byte) (uint64, error) {
	if pos, ok := plainAck(b); ok {
		return pos, nil
	}
	var a ack
	switch err := json.Unmarshal(b, &a); {
	case err != nil:
		return 0, fmt.Errorf("%w: unreadable acknowledgement: %w", ErrUncertain, err)
	case a.Error != nil:
		return 0, a.Error.err()
	case a.Seq == 0:
		return 0, fmt.Errorf("%w: acknowledgement without a position", ErrUncertain)
	}
	return a.Seq, nil
}

func (e *apiError) err() error {
	switch e.ErrCode {
	case codeWrongLastSequence, codeInProcess, codeDuplicateInFlight:
		return fmt.Errorf("%w: %s (%d)", ErrConflict, e.Description, e.ErrCode)
	}
	return fmt.Errorf("%w: %s (%d)", ErrRefused, e.Description, e.ErrCode)
}

// plainAck reads exactly {"stream":"NAME","seq":N}, with optional spaces behind
// the comma, and nothing else.
func plainAck(b []byte) (uint64, bool) {
	const head = `{"stream":"`
	if len(b) < len(head) || string(b[:len(head)]) != head {
		return 0, false
	}
	b = b[len(head):]
	for i, c := range b {
		if c == '"' {
			b = b[i+1:]
			break
		}
		if c == '\\' {
			return 0, false
		}
	}
	if len(b) == 0 || b[0] != ',' {
		return 0, false
	}
	for b = b[1:]; len(b) > 0 && b[0] == ' '; b = b[1:] {
	}
	const seq = `"seq":`
	if len(b) < len(seq)+2 || string(b[:len(seq)]) != seq || b[len(b)-1] != '}' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[len(seq):len(b)-1]), 10, 64)
	return n, err == nil && n > 0
}
