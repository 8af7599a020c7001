// Package logcheck reads back what the message log holds and compares it with the
// acknowledgements that senders got. Every test that injects faults ends with this comparison.
// Only tests may import it.
package logcheck

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// Ack is an acknowledgement that a sender got.
type Ack struct {
	Room, User, ClientID string
	Seq                  uint64
	Message              string // the JSON that came with it
}

// Key identifies a message by its sender and client id.
type Key struct{ User, ClientID string }

// Room is the log of one room.
type Room struct {
	First   uint64 // seq of the first message that is left
	Entries []wire.Entry
	Records int
}

// Read reads a whole room, record by record from the stream's leader, and shares no
// code with the service. It fails the test when the room's order has a hole.
func Read(tb testing.TB, nc *nats.Conn, streams int, room string) Room {
	tb.Helper()
	var r Room
	next, pos := uint64(0), uint64(0)
	for {
		data, at := get(tb, nc, log.RoomOf(room, streams), pos+1)
		if data == nil {
			return r
		}
		var rec wire.Record
		if err := wire.Unmarshal(data, &rec); err != nil {
			tb.Fatalf("%s: record at %d: %v", room, at, err)
		}
		if next == 0 {
			r.First, next = rec.First, rec.First
		}
		if rec.First != next || len(rec.Entries) == 0 || rec.Room != room {
			tb.Fatalf("%s: record of %d messages of %q from %d, want from %d", room, len(rec.Entries), rec.Room, rec.First, next)
		}
		next, pos = next+uint64(len(rec.Entries)), at
		r.Records++
		r.Entries = append(r.Entries, rec.Entries...)
	}
}

// get returns the first record at or after from; nil when there is none. A stream whose
// leader has just changed does not reply at once.
func get(tb testing.TB, nc *nats.Conn, place log.Room, from uint64) ([]byte, uint64) {
	tb.Helper()
	ask := fmt.Sprintf(`{"seq":%d,"next_by_subj":%q}`, from, place.Subject)
	for end := time.Now().Add(20 * time.Second); ; {
		m, err := nc.Request("$JS.API.STREAM.MSG.GET."+place.Stream, []byte(ask), time.Second)
		var answer struct {
			Error   struct{ Code int }
			Message struct {
				Seq  uint64
				Data []byte
			}
		}
		if err == nil {
			err = json.Unmarshal(m.Data, &answer)
		}
		switch {
		case err == nil && answer.Error.Code == 0:
			return answer.Message.Data, answer.Message.Seq
		case err == nil && answer.Error.Code == http.StatusNotFound:
			return nil, 0
		case time.Now().After(end):
			tb.Fatalf("read %s: %v", place.Stream, err)
		}
	}
}

// Verify fails the test unless the room begins with 1 and has no hole, no message
// is stored twice, and each acknowledgement names what is stored under its seq. It
// returns what is stored, by key.
func Verify(tb testing.TB, nc *nats.Conn, streams int, room string, acks []Ack) map[Key]uint64 {
	tb.Helper()
	r := Read(tb, nc, streams, room)
	if len(r.Entries) > 0 && r.First != 1 {
		tb.Errorf("%s begins with %d", room, r.First)
	}
	stored := make(map[Key]uint64, len(r.Entries))
	for i, e := range r.Entries {
		k := Key{e.User, e.ClientID}
		if seq, twice := stored[k]; twice {
			tb.Errorf("%s: %v is stored as %d and %d", room, k, seq, r.First+uint64(i))
		}
		stored[k] = r.First + uint64(i)
	}
	lost := 0
	for _, a := range acks {
		if a.Room != room {
			continue
		}
		seq, ok := stored[Key{a.User, a.ClientID}]
		switch {
		case !ok:
			lost++
		case seq != a.Seq:
			tb.Errorf("%s: %s/%s was acknowledged as %d and is stored as %d", room, a.User, a.ClientID, a.Seq, seq)
		case string(r.Entries[seq-r.First].JSON) != a.Message:
			tb.Errorf("%s: message %d differs from what its sender was given", room, seq)
		}
	}
	if lost > 0 {
		tb.Errorf("%s: %d acknowledged messages are not in the log", room, lost)
	}
	return stored
}
