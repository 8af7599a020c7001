package sequencer_test

import (
	"fmt"
	"testing"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
)

// A new owner finds less in the log than edges have delivered: with its stream, or its disk, the
// log has lost messages. Their seqs are not given out again, and reads answer with what is left.
func TestLogHasLostItsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stored, left, delivered int }{
		"everything":              {14, 0, 14},
		"the end":                 {14, 9, 14},
		"nothing":                 {14, 14, 14},
		"an edge that lags":       {14, 14, 9},
		"more than a mark":        {200, 100, 200},
		"everything, and a mark":  {200, 0, 200},
		"an edge that was slower": {14, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, early := range []bool{true, false} { // the edge reports before the room is loaded, or after
				w := newWorld()
				now := uint64(w.Now.UnixMilli())
				w.fill(c.stored, func() int { return 1 }, func(int) uint64 { return now })
				w.Records[general] = w.Records[general][:c.left]
				r := w.newRoom(1)
				if early {
					r.NoteDelivered(uint64(c.delivered))
				}
				r.WhenLoaded(func(error) {})
				w.RunAll()
				r.NoteDelivered(uint64(c.delivered))
				want := max(c.left, c.delivered) + 1
				for i := range 3 {
					reply := fmt.Sprint("sent", i)
					r.Send(&wire.Send{User: wire.User{ID: "u"}, ClientID: reply, Type: "TEXT", Content: "x"}, reply)
					w.RunAll()
					if got := int(r.Head()); got != want+i {
						t.Fatalf("message %d has seq %d, want %d", i, got, want+i)
					}
				}
				if n := w.count.Holes.Load(); n != 0 {
					t.Errorf("%d holes", n)
				}
				checkHistory(t, w, r, c.left+3, want+2)
				next := w.newRoom(2)
				checkHistory(t, w, next, c.left+3, want+2)
			}
		})
	}
}

// checkHistory checks how many messages a room has, and which is the last.
func checkHistory(t *testing.T, w *world, r *sequencer.Room, messages, last int) {
	t.Helper()
	reply := fmt.Sprintf("page of %p", r)
	var n int
	for after := uint64(0); ; {
		r.History(&wire.History{HasAfter: true, After: after, Limit: 200}, reply)
		w.RunAll()
		m := w.messages(reply)
		if m.Code != "" {
			t.Fatalf("history after %d: %+v", after, m.Fault)
		}
		if n += len(m.Items); len(m.Items) == 0 {
			break
		}
		after = m.Items[len(m.Items)-1].Seq
		if !m.More {
			if int(after) != last {
				t.Errorf("the last message is %d, want %d", after, last)
			}
			break
		}
	}
	if n != messages {
		t.Errorf("%d messages, want %d", n, messages)
	}
}

// Before a new message is stored, reads answer with what is left.
func TestReadAfterALoss(t *testing.T) {
	t.Parallel()
	for _, left := range []int{0, 9} {
		w := newWorld()
		now := uint64(w.Now.UnixMilli())
		w.fill(14, func() int { return 1 }, func(int) uint64 { return now })
		r := w.newRoom(1)
		r.WhenLoaded(func(error) {})
		w.RunAll()
		w.Records[general] = w.Records[general][:left]
		r = w.newRoom(2)
		r.NoteDelivered(14)
		checkHistory(t, w, r, left, left)
	}
}
