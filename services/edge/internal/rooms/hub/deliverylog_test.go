package hub_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec/native"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
)

// socketPlace is where this test's hub has the codec whose clients can resume.
const socketPlace = 1

// withDeliveryLog returns a world of one loop that keeps a delivery log, with a client whose codec uses it.
func withDeliveryLog(tb testing.TB) (*world, *hub.Local, *client) {
	w := newWorld(tb, 1)
	w.Hub = hub.New(w.loops, native.Codec{}, native.Codec{})
	local := w.Local(0)
	local.KeepDeliveryLog()
	c := &client{w: w, Client: hub.Client{User: wire.User{ID: "ann"}, Codec: socketPlace}}
	local.Add(&c.Client, c)
	return w, local, c
}

// sent are the messages that a client was sent since the last call, in order.
func (c *client) sent() (all []hub.Position) {
	for _, f := range conntest.ParseFrames(c.w.tb, c.frames) {
		var m struct {
			Data struct {
				RoomID string
				Seq    uint64
			}
		}
		if err := json.Unmarshal([]byte(f.Payload), &m); err != nil {
			c.w.tb.Fatal(err)
		}
		all = append(all, hub.Position{Room: m.Data.RoomID, Seq: m.Data.Seq})
	}
	c.frames = nil
	return all
}

// TestResumeIsExact: whatever happened in a client's rooms, and however much of what
// it was sent it has received, what Resume says is what it has received in each
// room, or that this is not certain.
func TestResumeIsExact(tt *testing.T) {
	tt.Parallel()
	sure := 0
	rapid.Check(tt, func(t *rapid.T) {
		w, local, c := withDeliveryLog(tt)
		rooms, heads := map[string]*hub.Room{}, map[string]uint64{}
		names := []string{"a", "b", "c"}
		for _, name := range names {
			rooms[name], heads[name] = w.NewRoom(name, 0), rapid.Uint64Range(0, 5).Draw(t, "head")
		}
		var sent []hub.Position
		had := map[string]uint64{} // by membership: where it began
		pick := func(t *rapid.T) string { return rapid.SampledFrom(names).Draw(t, "room") }
		batch := func(room string, from, to uint64) (list []wire.Item) {
			for seq := from; seq <= to; seq++ {
				list = append(list, wire.Item{Seq: seq, JSON: fmt.Appendf(nil, `{"roomId":%q,"seq":%d}`, room, seq)})
			}
			return list
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { sent = append(sent, c.sent()...) },
			"messages": func(t *rapid.T) {
				room, n := pick(t), rapid.Uint64Range(1, 3).Draw(t, "n")
				rooms[room].AddMessages(batch(room, heads[room]+1, heads[room]+n))
				heads[room] += n
				rooms[room].Flush()
				if rapid.Bool().Draw(t, "at once") {
					w.turn()
				}
			},
			"join": func(t *rapid.T) {
				room := pick(t)
				if c.LocalRoom(room) != nil {
					t.Skip("is there")
				}
				rooms[room].Enter(0, socketPlace, heads[room], func(p *hub.LocalRoom) { p.Join(&c.Client) })
				w.turn()
				had[room] = heads[room]
			},
			"catch up": func(t *rapid.T) {
				room := pick(t)
				if c.LocalRoom(room) != nil {
					t.Skip("is there")
				}
				least := uint64(0) // a client says what it has had, if it says anything
				for _, p := range sent {
					if p.Room == room {
						least = p.Seq
					}
				}
				since := rapid.Uint64Range(least, heads[room]).Draw(t, "since")
				rooms[room].Enter(0, socketPlace, heads[room], func(p *hub.LocalRoom) {
					f, _ := p.Follow(&c.Client, since)
					f.Start()
					if rapid.Bool().Draw(t, "to the end") {
						f.SendPage(batch(room, since+1, heads[room]))
					}
				})
				w.turn()
				had[room] = since
			},
			"leave": func(t *rapid.T) {
				room := pick(t)
				w.turn()
				if p := c.LocalRoom(room); p != nil {
					p.Leave(&c.Client)
					rooms[room].Leave(0, socketPlace)
				}
			},
		})
		w.turn()
		sent = append(sent, c.sent()...)
		mark := local.DeliveryMark(&c.Client)
		if len(sent) == 0 {
			return
		}
		received := rapid.IntRange(1, len(sent)).Draw(t, "received")
		got, exact := local.PositionsAt(mark, sent[received-1])
		if !exact {
			return
		}
		sure++
		want := map[string]uint64{}
		for i := range c.Rooms() {
			room := c.RoomAt(i).ID()
			want[room] = had[room]
			for _, p := range sent[:received] {
				if p.Room == room {
					want[room] = max(want[room], p.Seq)
				}
			}
		}
		if len(got) != len(want) {
			t.Fatalf("rooms %v, want %v", got, want)
		}
		for _, p := range got {
			if p.Seq != want[p.Room] {
				t.Fatalf("%s: %d, want %d; sent %v, of which %d were received", p.Room, p.Seq, want[p.Room], sent, received)
			}
		}
	})
	if sure == 0 {
		tt.Error("never certain")
	}
}

// A deliveryLog goes back so far and no further, and what is behind its end is not guessed.
func TestTrailEnds(t *testing.T) {
	t.Parallel()
	w, local, c := withDeliveryLog(t)
	a, b := w.NewRoom("a", 0), w.NewRoom("b", 0)
	for _, r := range []*hub.Room{a, b} {
		r.Enter(0, socketPlace, 0, func(p *hub.LocalRoom) { p.Join(&c.Client) })
	}
	say := func(r *hub.Room, seq uint64) {
		r.AddMessages(items(seq, seq))
		r.Flush()
		w.turn()
	}
	say(a, 1)
	early := local.DeliveryMark(&c.Client)
	if _, exact := local.PositionsAt(early, hub.Position{Room: "a", Seq: 1}); !exact {
		t.Error("not certain of a moment ago")
	}
	for seq := uint64(1); seq <= 8192; seq++ {
		say(b, seq)
	}
	if _, exact := local.PositionsAt(early, hub.Position{Room: "a", Seq: 1}); exact {
		t.Error("certain of what has been overwritten")
	}
	if _, exact := local.PositionsAt(local.DeliveryMark(&c.Client), hub.Position{Room: "b", Seq: 2}); !exact {
		t.Error("not certain of what is there")
	}
}

// What a client was sent while it caught up somewhere is not in the deliveryLog, also when it
// has left the room where it did so last.
func TestLeavingWhatOneFollows(t *testing.T) {
	t.Parallel()
	w, local, c := withDeliveryLog(t)
	joined, caughtUp, behind := w.NewRoom("joined", 0), w.NewRoom("caught up", 0), w.NewRoom("behind", 0)
	joined.Enter(0, socketPlace, 0, func(p *hub.LocalRoom) { p.Join(&c.Client) })
	joined.AddMessages(items(1, 1))
	joined.Flush()
	behind.Enter(0, socketPlace, 1, func(p *hub.LocalRoom) {
		f, _ := p.Follow(&c.Client, 0)
		f.Start()
	})
	caughtUp.Enter(0, socketPlace, 1, func(p *hub.LocalRoom) {
		f, _ := p.Follow(&c.Client, 0)
		f.Start()
		f.SendPage(items(1, 1))
	})
	w.turn()
	c.LocalRoom("behind").Leave(&c.Client)
	if got, exact := local.PositionsAt(local.DeliveryMark(&c.Client), hub.Position{Room: "joined", Seq: 1}); exact {
		t.Errorf("certain of %v", got)
	}
}
