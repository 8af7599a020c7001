package hub_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/conn"
	"github.com/confab-chat/confab/services/edge/internal/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/hub"
	"github.com/confab-chat/confab/services/edge/internal/native"
	"github.com/confab-chat/confab/services/edge/internal/poll"
)

// BenchmarkFanOut is one op a delivery, from the feeder to the bytes that a
// transport is given; without the system's call, which costs 3.4 us more.
func BenchmarkFanOut(b *testing.B) {
	for _, c := range []struct{ rooms, members, together int }{
		{1, 1000, 1}, {1, 1000, 8}, {100, 10, 1}, {100, 10, 8},
	} {
		b.Run(fmt.Sprintf("%dx%d/%d", c.rooms, c.members, c.together), func(b *testing.B) {
			fanOut(b, c.rooms, c.members, c.together)
		})
	}
}

// sink is a transport that throws away what it is given.
type sink struct{ *conntest.Transport }

func (sink) Write(b []byte) (int, error) { return len(b), nil }

func fanOut(b *testing.B, rooms, members, together int) {
	loop := poll.NewManual(time.Now(), time.Second)
	h := hub.New([]*poll.Loop{loop}, native.Codec{})
	set := conn.NewSet(loop, conn.Options{Heartbeat: -1}, &conn.Stats{})
	var all []*hub.Room
	for i := range rooms {
		r := h.NewRoom(fmt.Sprint("room", i), 0)
		for j := range members {
			c := set.Open(sink{conntest.New(loop)}, conn.Echo{}, nil, nil)
			client := &hub.Client{User: wire.User{ID: fmt.Sprint("user", j)}}
			h.Local(0).Add(client, c)
			r.Enter(0, 0, 0, func(p *hub.Part) { p.Join(client) })
		}
		all = append(all, r)
	}
	loop.Turn(time.Now())
	msg := make([]byte, 350)
	batch := make([]wire.Item, 1)
	seq := uint64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += rooms * members * together {
		for range together {
			seq++
			batch[0] = wire.Item{Seq: seq, JSON: msg}
			for _, r := range all {
				r.Messages(batch)
			}
		}
		for _, r := range all {
			r.Flush()
		}
		loop.Turn(time.Now())
	}
}

// BenchmarkManyPosts is a room that was told many things while its loop was busy, each
// by a flush of its own.
func BenchmarkManyPosts(b *testing.B) {
	loop := poll.NewManual(time.Now(), time.Second)
	h := hub.New([]*poll.Loop{loop}, native.Codec{})
	set := conn.NewSet(loop, conn.Options{Heartbeat: -1}, &conn.Stats{})
	room := h.NewRoom("room", 0)
	client := &hub.Client{User: wire.User{ID: "user"}}
	h.Local(0).Add(client, set.Open(sink{conntest.New(loop)}, conn.Echo{}, nil, nil))
	room.Enter(0, 0, 0, func(p *hub.Part) { p.Join(client) })
	loop.Turn(time.Now())
	const posts = 256
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		for range posts {
			seq++
			room.Messages([]wire.Item{{Seq: seq, JSON: []byte(`{"content":"hello"}`)}})
			room.Flush()
		}
		loop.Turn(time.Now())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/posts, "ns/post")
}
