package sequencer_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logtest"
)

func send(r *sequencer.Room, cid, content, reply string) {
	r.Send(&wire.Send{
		Room: "general", User: wire.User{ID: "u", Name: "U"}, ClientID: cid, Type: "TEXT", Content: content,
	}, reply)
}

func (w *world) record(i int) *wire.Record {
	var rec wire.Record
	if err := wire.Unmarshal(w.Records[general][i].Data, &rec); err != nil {
		panic(err)
	}
	return &rec
}

// Messages that wait during an append are stored in few records, each within its bounds. The room
// refuses at once what exceeds the queue.
func TestWaitingMessagesAreCoalesced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		messages, size int
		records        int // the first is on its way alone
		refused        int
	}{
		"few":   {10, 100, 2, 0},
		"many":  {1000, 100, 1 + 16, 0},
		"large": {65, 8000, 1 + 3, 0}, // of 256 KiB each
		// The one on its way counts, too.
		"too many": {1500, 10, 1 + 16, 476},
	} {
		w := newWorld()
		r := w.newRoom(1)
		r.WhenLoaded(func(error) {})
		w.RunAll()
		for i := range c.messages {
			send(r, fmt.Sprint(i), strings.Repeat("x", c.size), fmt.Sprint("r", i))
		}
		w.RunAll()
		if n := len(w.Records[general]); n != c.records {
			t.Errorf("%s: %d records, want %d", name, n, c.records)
		}
		for i := range w.Records[general] {
			if rec := w.record(i); len(rec.Entries) > 64 || len(w.Records[general][i].Data) > 300<<10 {
				t.Errorf("%s: record %d has %d messages, %d bytes", name, i, len(rec.Entries), len(w.Records[general][i].Data))
			}
		}
		refused := 0
		for i := range c.messages {
			switch s := w.sent(fmt.Sprint("r", i)); {
			case s.Code == "UNAVAILABLE":
				refused++
			case s.Code != "" || s.Seq != uint64(i+1):
				t.Fatalf("%s: message %d: %+v", name, i, s)
			}
		}
		if refused != c.refused {
			t.Errorf("%s: %d refused, want %d", name, refused, c.refused)
		}
	}
}

// A message has the time at which it was accepted, and times never decrease within a room.
func TestMessageAsClientsSeeIt(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := w.newRoom(1)
	r.SetCreated(uint64(w.Now.UnixMilli()) - 5)
	send(r, "a", "hi \"there\"", "a")
	w.RunAll()
	first := w.Now
	w.Now = w.Now.Add(-time.Hour) // the clock of the machine was set
	send(r, "b", "again", "b")
	w.RunAll()
	for i, reply := range []string{"a", "b"} {
		var m event.Message
		if err := json.Unmarshal(w.sent(reply).Message, &m); err != nil {
			t.Fatal(err)
		}
		seq, ok := event.SeqOf(m.ID)
		if !ok || seq != uint64(i+1) || m.Seq != seq || m.Timestamp != event.At(first) || m.CreatedAt != m.Timestamp || m.RoomID != "general" {
			t.Errorf("%s: %+v", reply, m)
		}
	}
	if rec := w.record(0); rec.CreatedMs != uint64(first.UnixMilli())-5 || rec.Epoch != 1 {
		t.Errorf("record: %+v", rec)
	}
	if rec := w.record(1); rec.CreatedMs != uint64(first.UnixMilli())-5 {
		t.Errorf("the room was made at %d", rec.CreatedMs)
	}
}

// A server that loses the end of the log (a power failure without sync) does not
// block the room, and its numbers are not assigned again.
func TestLogLosesItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := w.newRoom(1)
	for i := range 5 {
		send(r, fmt.Sprint(i), "x", fmt.Sprint("r", i))
		w.RunAll()
	}
	w.Records[general] = w.Records[general][:3]
	send(r, "after", "x", "after")
	w.RunAll()
	if s := w.sent("after"); s.Code != "" || s.Seq != 6 {
		t.Errorf("the next message: %+v", s)
	}
	if rec := w.record(3); rec.First != 6 {
		t.Errorf("the next record begins with %d", rec.First)
	}
}

// A message is not announced before the log has it.
func TestNoAnswerBeforeAcknowledgement(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := w.newRoom(1)
	send(r, "c", "x", "first")
	send(r, "c", "x", "again")
	for len(w.Records[general]) == 0 {
		if w.sent("first") != nil || w.sent("again") != nil || len(w.casts) > 0 {
			t.Fatal("answered, and the log has nothing")
		}
		w.RunStep(0, logtest.Fine)
	}
	w.RunAll()
	if a, b := w.sent("first"), w.sent("again"); a.Duplicate || !b.Duplicate || a.Seq != 1 || b.Seq != 1 {
		t.Errorf("answers: %+v, %+v", a, b)
	}
}

// The server may have the last record of a long idle room on disk only. The room reads it before
// the append: an append that waits for the disk would delay those of other rooms.
func TestColdRoomIsTouched(t *testing.T) {
	t.Parallel()
	w := newWorld()
	r := w.newRoom(1)
	say := func(id string) (steps int) {
		r.Send(&wire.Send{User: wire.User{ID: "u"}, ClientID: id, Type: "TEXT", Content: "x"}, id)
		for ; len(w.Steps) > 0; steps++ {
			w.RunStep(0, logtest.Fine)
		}
		return steps
	}
	say("first")
	if n := say("at once"); n != 1 {
		t.Errorf("%d steps in a warm room", n)
	}
	w.Now = w.Now.Add(9 * time.Second)
	if n := say("later"); n != 2 {
		t.Errorf("%d steps in a cold room, want a read and an append", n)
	}
	// Another owner has appended meanwhile: that is seen without a refusal.
	other := w.newRoom(2)
	w.Now = w.Now.Add(9 * time.Second)
	other.Send(&wire.Send{User: wire.User{ID: "u"}, ClientID: "elsewhere", Type: "TEXT", Content: "x"}, "other")
	w.RunAll()
	say("elsewhere")
	if s := w.sent("elsewhere"); s == nil || !s.Duplicate || s.Seq != 4 || len(w.Records[general]) != 4 {
		t.Errorf("a repeat of what another owner has stored: %+v", s)
	}
	if w.sent("elsewhere").Seq != r.Head() {
		t.Errorf("head is %d", r.Head())
	}
}

// A sender without a permit gets the outcome of a message that is stored, and of nothing else;
// also from an owner that must load the window first.
func TestRepeatOnly(t *testing.T) {
	t.Parallel()
	w := newWorld()
	repeat := func(r *sequencer.Room, cid, content, reply string) {
		r.Send(&wire.Send{
			Room: "general", User: wire.User{ID: "u", Name: "U"}, ClientID: cid, Type: "TEXT", Content: content, RepeatOnly: true,
		}, reply)
	}
	check := func(r *sequencer.Room, who string) {
		t.Helper()
		for name, c := range map[string]struct {
			cid, content string
			code         string
		}{"stored": {"a", "text", ""}, "new": {"b", "text", "RATE_LIMITED"}, "other content": {"a", "x", "CONFLICT"}} {
			reply := who + name
			repeat(r, c.cid, c.content, reply)
			w.RunAll()
			if s := w.sent(reply); s == nil || s.Code != c.code || s.Duplicate != (c.code == "") {
				t.Errorf("%s, %s: %+v", who, name, s)
			}
		}
	}
	r := w.newRoom(1)
	send(r, "a", "text", "first")
	w.RunAll()
	check(r, "the owner")
	check(w.newRoom(2), "the next owner")
	if n := len(w.Records[general]); n != 1 {
		t.Errorf("%d records", n)
	}
	// With a permit for the same message meanwhile, it is stored.
	r = w.newRoom(3)
	repeat(r, "c", "text", "without")
	send(r, "c", "text", "with")
	w.RunAll()
	if a, b := w.sent("without"), w.sent("with"); a.Code != "" || b.Code != "" || a.Seq != 2 || b.Seq != 2 {
		t.Errorf("%+v, %+v", a, b)
	}
}
