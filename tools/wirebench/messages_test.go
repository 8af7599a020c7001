// Package wirebench holds the figures of docs/adr/0001: what the encoding between
// services costs against the ones it was chosen over, and what a record of the log
// takes on disk. Run: go test -bench . ./wirebench (in tools). Beside them are
// checks of proto against implementations that proto itself must not import.
package wirebench

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
)

// The messages again, as a user of each encoding would declare them: short names
// (JSON, MessagePack), integer keys (CBOR), zero values left out, and JSON within
// JSON unquoted.
type (
	send struct {
		Edge     string `json:"e,omitempty" msgpack:"e,omitempty" cbor:"1,keyasint,omitempty"`
		Gen      uint64 `json:"g,omitempty" msgpack:"g,omitempty" cbor:"2,keyasint,omitempty"`
		Room     string `json:"r,omitempty" msgpack:"r,omitempty" cbor:"3,keyasint,omitempty"`
		UserID   string `json:"u,omitempty" msgpack:"u,omitempty" cbor:"4,keyasint,omitempty"`
		UserName string `json:"n,omitempty" msgpack:"n,omitempty" cbor:"5,keyasint,omitempty"`
		ClientID string `json:"c,omitempty" msgpack:"c,omitempty" cbor:"6,keyasint,omitempty"`
		Type     string `json:"t,omitempty" msgpack:"t,omitempty" cbor:"7,keyasint,omitempty"`
		Content  string `json:"x,omitempty" msgpack:"x,omitempty" cbor:"8,keyasint,omitempty"`
	}
	sent struct {
		Code         string          `json:"c,omitempty" msgpack:"c,omitempty" cbor:"1,keyasint,omitempty"`
		Message      string          `json:"m,omitempty" msgpack:"m,omitempty" cbor:"2,keyasint,omitempty"`
		RetryAfterMs uint64          `json:"r,omitempty" msgpack:"r,omitempty" cbor:"3,keyasint,omitempty"`
		Seq          uint64          `json:"s,omitempty" msgpack:"s,omitempty" cbor:"4,keyasint,omitempty"`
		JSON         json.RawMessage `json:"j,omitempty" msgpack:"j,omitempty" cbor:"5,keyasint,omitempty"`
		Duplicate    bool            `json:"d,omitempty" msgpack:"d,omitempty" cbor:"6,keyasint,omitempty"`
	}
	record struct {
		Epoch     uint64  `json:"e,omitempty" msgpack:"e,omitempty" cbor:"1,keyasint,omitempty"`
		First     uint64  `json:"f,omitempty" msgpack:"f,omitempty" cbor:"2,keyasint,omitempty"`
		Mark64    uint64  `json:"m,omitempty" msgpack:"m,omitempty" cbor:"3,keyasint,omitempty"`
		Mark1024  uint64  `json:"k,omitempty" msgpack:"k,omitempty" cbor:"4,keyasint,omitempty"`
		CreatedMs uint64  `json:"c,omitempty" msgpack:"c,omitempty" cbor:"5,keyasint,omitempty"`
		Room      string  `json:"r,omitempty" msgpack:"r,omitempty" cbor:"6,keyasint,omitempty"`
		Entries   []entry `json:"x,omitempty" msgpack:"x,omitempty" cbor:"7,keyasint,omitempty"`
	}
	entry struct {
		User     string          `json:"u,omitempty" msgpack:"u,omitempty" cbor:"1,keyasint,omitempty"`
		ClientID string          `json:"c,omitempty" msgpack:"c,omitempty" cbor:"2,keyasint,omitempty"`
		Sum      uint64          `json:"s,omitempty" msgpack:"s,omitempty" cbor:"3,keyasint,omitempty"`
		AtMs     uint64          `json:"a,omitempty" msgpack:"a,omitempty" cbor:"4,keyasint,omitempty"`
		JSON     json.RawMessage `json:"j,omitempty" msgpack:"j,omitempty" cbor:"5,keyasint,omitempty"`
	}
	broadcast struct {
		Epoch  uint64          `json:"e,omitempty" msgpack:"e,omitempty" cbor:"1,keyasint,omitempty"`
		Room   string          `json:"r,omitempty" msgpack:"r,omitempty" cbor:"2,keyasint,omitempty"`
		Total  uint64          `json:"t,omitempty" msgpack:"t,omitempty" cbor:"3,keyasint,omitempty"`
		Pos    uint64          `json:"p,omitempty" msgpack:"p,omitempty" cbor:"4,keyasint,omitempty"`
		Record json.RawMessage `json:"x,omitempty" msgpack:"x,omitempty" cbor:"5,keyasint,omitempty"` // in the same encoding
	}
)

// content is a text of 1 to 25 words, 60 bytes on average, different for each i.
// Few words are common and most are rare, as in languages, so that compression
// finds about what it finds in chats.
func content(i int) string {
	random := rand.New(rand.NewPCG(uint64(i), 1))
	const syllables = "kaletomirusandebofigunopaverixulydschthing"
	var b strings.Builder
	for range 1 + random.IntN(1+random.IntN(25)) {
		word := rand.New(rand.NewPCG(uint64(math.Exp(random.Float64()*8)), 2)) // one of 3 000, by rank
		for range 1 + word.IntN(4) {
			k := word.IntN(len(syllables) - 2)
			b.WriteString(syllables[k : k+2+word.IntN(2)])
		}
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}

const (
	room = "engineering"
	now  = 1767323045678
)

// message is the i-th message of the room.
func message(i int) event.Message {
	user := fmt.Sprintf("01JGK3%06d", i*7919%1000)
	at := event.Time(now + i*1700)
	return event.Message{
		ID: event.MessageID(room, uint64(4000+i), uint64(at), user), Content: content(i),
		Author: event.Author{ID: user, Name: "Ada Lovelace"}, RoomID: room, MessageType: event.TypeText,
		Seq: uint64(4000 + i), Timestamp: at, CreatedAt: at, UpdatedAt: at,
	}
}

func clientID(i int) string {
	return fmt.Sprintf("%08x-5b0a-4a52-9c1e-%012x", uint32(i*2654435761), uint64(i)*0x9e3779b97f4a7c15>>16)
}

func ourSend() *wire.Send {
	return &wire.Send{
		Origin: wire.Origin{Edge: "edge-7f9c", Gen: now}, Room: room, User: wire.User{ID: "01JGK3000042", Name: "Ada Lovelace"},
		ClientID: clientID(1), Type: event.TypeText, Content: content(3),
	}
}

func ourSent() *wire.Sent {
	m := message(3)
	return &wire.Sent{Outcome: wire.Outcome{Seq: m.Seq, Message: m.AppendJSON(nil)}}
}

func ourRecord(n int) *wire.Record { return recordFrom(0, n) }

// recordFrom is the record of n messages from the i-th on.
func recordFrom(i, n int) *wire.Record {
	r := &wire.Record{Epoch: 712, First: uint64(4000 + i), Mark64: uint64(3967 + i), Mark1024: 3071, CreatedMs: now, Room: room}
	for i := i; len(r.Entries) < n; i++ {
		m := message(i)
		r.Entries = append(r.Entries, wire.Entry{
			User: m.Author.ID, ClientID: clientID(i), Sum: uint64(i+1) * 0x9e3779b97f4a7c15, AtMs: uint64(m.Timestamp), JSON: m.AppendJSON(nil),
		})
	}
	return r
}

func ourBroadcast(record []byte) *wire.Broadcast {
	return &wire.Broadcast{Epoch: 712, Room: room, Total: 12, Pos: 81234, Record: record}
}

func theirSend() *send {
	s := ourSend()
	return &send{s.Edge, s.Gen, s.Room, s.User.ID, s.User.Name, s.ClientID, s.Type, s.Content}
}

func theirSent() *sent {
	s := ourSent()
	return &sent{Seq: s.Seq, JSON: s.Message}
}

func theirRecord(n int) *record {
	r := ourRecord(n)
	t := &record{Epoch: r.Epoch, First: r.First, Mark64: r.Mark64, Mark1024: r.Mark1024, CreatedMs: r.CreatedMs, Room: r.Room}
	for _, e := range r.Entries {
		t.Entries = append(t.Entries, entry{e.User, e.ClientID, e.Sum, e.AtMs, e.JSON})
	}
	return t
}

func theirBroadcast(record []byte) *broadcast {
	b := ourBroadcast(record)
	return &broadcast{b.Epoch, b.Room, b.Total, b.Pos, b.Record}
}
