//go:build linux

package scenario

import (
	"testing"

	"github.com/confab-chat/confab/tools/bench/internal/clients"
	"github.com/confab-chat/confab/tools/bench/internal/dialect"
	"github.com/confab-chat/confab/tools/bench/internal/report"
	"github.com/confab-chat/confab/tools/bench/internal/stamp"
)

// newCounting returns a fanout of one room with three members, which counts but has no
// connections.
func newCounting() (*fanout, []*clients.Conn) {
	members := []*clients.Conn{{}, {}, {}}
	f := &fanout{
		load:    &load{Options: Options{Rooms: 1, Members: 3, Publishers: 1}},
		rooms:   []fanoutRoom{{members: members, dues: make([]int64, 4)}},
		deliver: newLatencies(), ack: newLatencies(), until: never,
	}
	return f, members
}

// accept counts message n as sent and accepted.
func (f *fanout) accept(n uint32) {
	room := &f.rooms[0]
	room.sent, room.owed = n, room.owed+int64(len(room.members))
	f.receive(room.members[0], dialect.Message{Kind: dialect.Accepted, ID: uint64(n-1) + firstID}, stamp.Now())
}

func (f *fanout) deliverTo(c *clients.Conn, n uint32) {
	f.receive(c, dialect.Message{Kind: dialect.Delivery, Body: stamp.Append(nil, stamp.Now(), n, 0)}, stamp.Now())
}

func (f *fanout) losses() map[string]float64 {
	var figures report.Figures
	f.addLosses(&figures)
	m := make(map[string]float64)
	for _, x := range figures {
		m[x.Name] = x.Value
	}
	return m
}

// A member without an accepted message is counted, and so is a message that came twice.
func TestLossesAreCounted(t *testing.T) {
	f, members := newCounting()
	for n := uint32(1); n <= 2; n++ {
		f.accept(n)
		for _, c := range members[:2] {
			f.deliverTo(c, n)
		}
	}
	f.deliverTo(members[2], 2)
	if !f.inFlight() {
		t.Error("a delivery that has not come is not in flight")
	}
	f.deliverTo(members[0], 1)
	if got := f.losses(); got["missing"] != 1 || got["out_of_order"] != 1 || got["unanswered"] != 0 {
		t.Errorf("%v", got)
	}
}

// A refused message is owed to no member, and a member that never reads misses nothing.
func TestRefusedAndStalled(t *testing.T) {
	f, members := newCounting()
	f.accept(1)
	for _, c := range members {
		f.deliverTo(c, 1)
	}
	f.rooms[0].sent, f.rooms[0].owed = 2, 3
	f.receive(members[0], dialect.Message{Kind: dialect.Refused, ID: 1 + firstID}, stamp.Now())
	f.deliverTo(&clients.Conn{Got: stalled}, 1)
	if got := f.losses(); f.inFlight() || got["missing"] != 0 || got["out_of_order"] != 0 || f.got != 3 {
		t.Errorf("%v, %d deliveries", got, f.got)
	}
}

// A member that the server disconnects is owed nothing more.
func TestDisconnectedMember(t *testing.T) {
	f, members := newCounting()
	f.accept(1)
	f.deliverTo(members[0], 1)
	f.deliverTo(members[2], 1)
	f.forgetMember(members[1])
	if got := f.losses(); f.inFlight() || got["missing"] != 0 || got["disconnected"] != 1 {
		t.Errorf("%v", got)
	}
}
