package hub_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// writing is how long a send takes in these tests.
const writing = 10 * time.Microsecond

// slowly takes its time over each send.
type slowly struct{ w *world }

func (s slowly) Send([]byte, conn.Class) bool {
	s.w.now = s.w.now.Add(writing)
	return true
}

func (slowly) Close(code.Close, string) {}

// crowd is a room of n members; the first of them keeps what it receives.
func (w *world) crowd(id string, n int) (*hub.Room, *client) {
	r := w.NewRoom(id, 0)
	first := w.client("first", 0)
	first.join(r, 0)
	for i := range n - 1 {
		c := &hub.Client{User: wire.User{ID: fmt.Sprint("u", i)}}
		w.Local(0).Add(c, slowly{w})
		r.Enter(0, 0, 0, func(p *hub.LocalRoom) { p.Join(c) })
	}
	w.turn()
	return r, first
}

// say brings messages and gives the loop a turn, after it has waited for so long.
func (w *world) say(r *hub.Room, from, to uint64, after time.Duration) {
	w.now = w.now.Add(after)
	r.AddMessages(items(from, to))
	r.Flush()
	w.turn()
}

func TestLoopPausesForAQuarterOfItsWriting(t *testing.T) {
	t.Parallel()
	const members = 1000 // 10 ms of writing, 2.5 ms of rest
	w := newWorld(t, 1)
	r, c := w.crowd("r", members)
	w.say(r, 1, 1, 0)
	expect(t, c, "1")
	w.say(r, 2, 2, time.Millisecond)
	w.say(r, 3, 4, time.Millisecond)
	expect(t, c, "")
	w.now = w.now.Add(time.Millisecond) // and it is over, though nothing comes
	w.turn()
	if c.sends != 1 {
		t.Errorf("what waited came in %d sends", c.sends)
	}
	expect(t, c, "2 3 4")
	w.say(r, 5, 5, 3*time.Millisecond) // the rest was over when it came
	expect(t, c, "5")
}

// Many small rooms in one turn are as much to write as a big one.
func TestSmallRoomsTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var rooms []*hub.Room
	var firsts []*client
	for i := range 50 {
		r, c := w.crowd(fmt.Sprint("r", i), 20)
		rooms, firsts = append(rooms, r), append(firsts, c)
	}
	for _, r := range rooms {
		r.AddMessages(items(1, 1))
		r.Flush()
	}
	w.turn() // 10 ms
	w.say(rooms[0], 2, 2, 0)
	w.say(rooms[0], 3, 3, time.Millisecond)
	w.say(rooms[1], 2, 2, time.Millisecond)
	for _, c := range firsts {
		expect(t, c, "1")
	}
	w.now = w.now.Add(time.Millisecond)
	w.turn()
	expect(t, firsts[0], "2 3")
	expect(t, firsts[1], "2")
}

func TestShortWritingNeedsNoPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r, c := w.crowd("r", 100)
	w.say(r, 1, 1, 0)
	w.say(r, 2, 2, 0)
	expect(t, c, "1 2")
}

// A client that joins during a pause gets nothing that was sent before it.
func TestJoinDuringAPauseDeliversFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r, c := w.crowd("r", 1000)
	w.say(r, 1, 1, 0)
	w.say(r, 2, 2, 0)
	expect(t, c, "1")
	late := w.client("late", 0)
	late.join(r, 2)
	w.turn()
	expect(t, c, "2")
	w.say(r, 3, 3, time.Second)
	expect(t, late, "3")
	expect(t, c, "3")
}
