package sequencer_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
)

// Records that cannot be decoded, anywhere in a room: it accepts messages, under a new owner and
// under one that is there already, and its other messages can be read.
func TestMalformedRecords(t *testing.T) {
	t.Parallel()
	garbage := [][]byte{nil, {0}, bytes.Repeat([]byte{0xff}, 40), []byte("not a record")}
	for name, places := range map[string][]int{ // behind how many good records
		"alone": {0}, "first": {0, 5}, "in the middle": {3, 5}, "last": {5}, "twice": {2, 2, 5}, "last, of many": {1100},
	} {
		for i, data := range garbage {
			for _, living := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d, living owner %v", name, i, living), func(t *testing.T) {
					t.Parallel()
					malformed(t, places, data, living)
				})
			}
		}
	}
}

func malformed(t *testing.T, places []int, data []byte, living bool) {
	w := newWorld()
	owner := w.newRoom(1)
	open := func(r *sequencer.Room) {
		r.WhenLoaded(func(error) {})
		w.RunAll()
	}
	good, last := 0, places[len(places)-1]
	if living {
		open(owner)
	}
	now := uint64(w.Now.UnixMilli())
	for _, at := range append(places, -1) {
		for ; good < last && (at < 0 || good < at); good++ {
			if living {
				storeOne(t, w, owner, good+1)
				continue
			}
			w.Store(general, wire.Marshal(&wire.Record{First: uint64(good + 1), Room: "general", CreatedMs: now, Entries: []wire.Entry{
				{User: "u", ClientID: fmt.Sprint("old", good), AtMs: now, JSON: []byte("{}")},
			}}))
		}
		if at >= 0 {
			w.Store(general, data)
		}
	}
	if !living {
		open(owner)
	}
	storeOne(t, w, owner, last+1)
	storeOne(t, w, owner, last+2)
	if w.count.Malformed.Load() == 0 {
		t.Error("not counted")
	}
	checkHistory(t, w, owner, last+2, last+2)
	next := w.newRoom(2)
	checkHistory(t, w, next, last+2, last+2)
	w.Now = w.Now.Add(time.Hour)
	keep := sequencer.Retention{MaxAge: time.Minute}
	next.Retain(w.Now.Add(-time.Minute), keep)
	next.Retain(w.Now, keep)
	w.RunAll()
	checkHistory(t, w, next, min(last+2, 1000), last+2)
}

// storeOne stores a message, which must get that seq.
func storeOne(t *testing.T, w *world, r *sequencer.Room, seq int) {
	t.Helper()
	reply := fmt.Sprint("sent", seq)
	r.Send(&wire.Send{User: wire.User{ID: "u"}, ClientID: reply, Type: "TEXT", Content: "x"}, reply)
	w.RunAll()
	if s := w.sent(reply); s.Code != "" || int(s.Seq) != seq {
		t.Fatalf("message %d: %+v", seq, s)
	}
}
