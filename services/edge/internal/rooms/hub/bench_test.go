package hub_test

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec/native"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
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
	set := conn.NewFactory(loop, conn.Options{Heartbeat: -1}, &conn.Stats{})
	var all []*hub.Room
	for i := range rooms {
		r := h.NewRoom(fmt.Sprint("room", i), 0)
		for j := range members {
			c := set.Open(sink{conntest.New(loop)}, conn.EchoHandler{}, nil, nil)
			client := &hub.Client{User: wire.User{ID: fmt.Sprint("user", j)}}
			h.Local(0).Add(client, c)
			r.Enter(0, 0, 0, func(p *hub.LocalRoom) { p.Join(client) })
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
				r.AddMessages(batch)
			}
		}
		for _, r := range all {
			r.Flush()
		}
		loop.Turn(time.Now())
	}
}

// BenchmarkLoops is one op a delivery, by loops that run side by side, each with a room of
// a thousand: what they share would show. Each write goes through the system's network
// stack, as a datagram that is never read.
func BenchmarkLoops(b *testing.B) {
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { sideBySide(b, n) })
	}
}

// datagrams is a transport that never blocks.
type datagrams struct {
	*conntest.Transport
	to net.Conn
}

func (d datagrams) Write(p []byte) (int, error) { return d.to.Write(p) }

// unread returns a connection to a socket that is never read.
func unread(b *testing.B) net.Conn {
	deaf, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	to, err := net.Dial("udp", deaf.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { to.Close(); deaf.Close() })
	return to
}

func sideBySide(b *testing.B, n int) {
	const members, together = 1000, 8
	var loops []*poll.Loop
	for range n {
		loops = append(loops, poll.NewManual(epoch, time.Second))
	}
	h := hub.New(loops, native.Codec{})
	var running sync.WaitGroup
	start := make(chan struct{})
	for i, l := range loops {
		r := h.NewRoom(fmt.Sprint("room", i), 0)
		set := conn.NewFactory(l, conn.Options{Heartbeat: -1}, &conn.Stats{})
		to := unread(b)
		for j := range members {
			client := &hub.Client{User: wire.User{ID: fmt.Sprint("user", j)}}
			h.Local(i).Add(client, set.Open(datagrams{conntest.New(l), to}, conn.EchoHandler{}, nil, nil))
			r.Enter(i, 0, 0, func(p *hub.LocalRoom) { p.Join(client) })
		}
		l.Turn(epoch)
		running.Go(func() {
			<-start
			msg, seq := make([]byte, 350), uint64(0)
			for range b.N/(members*together*n) + 1 {
				for range together {
					seq++
					r.AddMessages([]wire.Item{{Seq: seq, JSON: msg}})
				}
				r.Flush()
				l.Turn(epoch)
			}
		})
	}
	b.ResetTimer()
	close(start)
	running.Wait()
}

// BenchmarkManyPosts is a room that got many posts while its loop was busy, each
// by a flush of its own.
func BenchmarkManyPosts(b *testing.B) {
	loop := poll.NewManual(time.Now(), time.Second)
	h := hub.New([]*poll.Loop{loop}, native.Codec{})
	set := conn.NewFactory(loop, conn.Options{Heartbeat: -1}, &conn.Stats{})
	room := h.NewRoom("room", 0)
	client := &hub.Client{User: wire.User{ID: "user"}}
	h.Local(0).Add(client, set.Open(sink{conntest.New(loop)}, conn.EchoHandler{}, nil, nil))
	room.Enter(0, 0, 0, func(p *hub.LocalRoom) { p.Join(client) })
	loop.Turn(time.Now())
	const posts = 256
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		for range posts {
			seq++
			room.AddMessages([]wire.Item{{Seq: seq, JSON: []byte(`{"content":"hello"}`)}})
			room.Flush()
		}
		loop.Turn(time.Now())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/posts, "ns/post")
}
