package shard_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/natstest"
)

// Messages stored, acknowledged and broadcast, with 64 on their way at once; the
// sender and the NATS server run in the same process.
func BenchmarkSend(b *testing.B) {
	for _, durability := range []string{"fast", "durable"} {
		for _, rooms := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/rooms=%d", durability, rooms), func(b *testing.B) {
				if durability == "durable" {
					benchmarkSend(b, natstest.Start(b, natstest.Durable), rooms)
				} else {
					benchmarkSend(b, natstest.Start(b), rooms)
				}
			})
		}
	}
}

func benchmarkSend(b *testing.B, srv dialer, rooms int) {
	e, o := startOn(b, srv)
	ctx := b.Context()
	deliver := make(chan *nats.Msg, 4096)
	r, err := natsconn.NewRequester(e.nc, deliver)
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	wg.Go(func() {
		for {
			select {
			case m := <-deliver:
				r.Handle(m)
			case <-ctx.Done():
				return
			}
		}
	})
	subjects, names := make([]string, rooms), make([]string, rooms)
	for i := range rooms {
		names[i] = "room-" + strconv.Itoa(i)
		subjects[i] = subject.RoomCommand(subject.Shard(names[i]), subject.OpSend)
		if s := e.send(names[i], "warm", "w", "up"); s == nil || s.Code != "" {
			b.Fatalf("warm-up: %+v", s)
		}
	}
	window := make(chan struct{}, 64)
	content := strings.Repeat("x", 128)
	var failed error
	started := time.Now()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		window <- struct{}{}
		n++
		cmd := wire.Marshal(&wire.Send{
			Origin: e.origin, Room: names[n%rooms], User: wire.User{ID: "user-1", Name: "User One"},
			ClientID: strconv.Itoa(n), Type: "TEXT", Content: content,
		})
		r.Do(subjects[n%rooms], nil, cmd, 5*time.Second, func(_ *nats.Msg, err error) {
			if err != nil {
				failed = err
			}
			<-window
		})
	}
	for range cap(window) {
		window <- struct{}{}
	}
	if failed != nil {
		b.Fatal(failed)
	}
	b.ReportMetric(float64(n)/time.Since(started).Seconds(), "msgs/s")
	h := o.count.Appends()
	b.ReportMetric(float64(n)/float64(max(h.Count, 1)), "msgs/append")
	b.ReportMetric(float64(h.Quantile(0.5).Microseconds()), "append-p50-us")
	b.ReportMetric(float64(h.Quantile(0.99).Microseconds()), "append-p99-us")
	b.Cleanup(wg.Wait)
}

// A page of 50 messages of a room's history: the newest ones, which the owner has in
// memory, and random ones, which it reads from the log. Between two messages of the room
// lie 20 of others, one of them or ten thousand: the cost does not depend on how many.
func BenchmarkHistory(b *testing.B) {
	const messages, limit = 2000, 50
	for _, rooms := range []int{2, 100, 10_000} {
		srv := natstest.Start(b)
		e, _ := startOn(b, srv)
		fill(b, srv.Conn(b), messages, rooms)
		for name, page := range map[string]func() wire.History{
			"newest": func() wire.History { return wire.History{} },
			"random": func() wire.History { return wire.History{Before: limit + 1 + rand.Uint64N(messages-limit-300)} },
		} {
			b.Run(fmt.Sprintf("%s/rooms=%d", name, rooms), func(b *testing.B) {
				var took []time.Duration
				for b.Loop() {
					q := page()
					q.Room, q.Limit = "busy", limit
					var m wire.Messages
					began := time.Now()
					if !e.room(subject.OpHist, "busy", &q, &m) || len(m.Items) != limit {
						b.Fatalf("%+v: %d items %s", q, len(m.Items), m.Code)
					}
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
				b.ReportMetric(float64(took[len(took)*95/100].Microseconds()), "p95-us")
			})
		}
	}
}

// fill stores messages in the room "busy", and 20 of the other rooms in turn behind each;
// without an owner, as one would.
func fill(b *testing.B, nc *nats.Conn, messages, rooms int) {
	b.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	text := []byte(`{"id":"x","content":"` + strings.Repeat("x", 128) + `"}`)
	put := func(room string, first uint64, m history.Marks) (*wire.Record, uint64) {
		rec := &wire.Record{
			First: first, Mark64: m.Near, Mark1024: m.Far, Room: room, CreatedMs: 1,
			Entries: []wire.Entry{{User: "u", ClientID: strconv.FormatUint(first, 10), AtMs: 1, JSON: text}},
		}
		ack, err := js.Publish(b.Context(), log.RoomOf(room, streams).Subject, wire.Marshal(rec))
		if err != nil {
			b.Fatal(err)
		}
		return rec, ack.Sequence
	}
	other := 0
	var m history.Marks
	for seq := range uint64(messages) {
		m = m.Advance(put("busy", seq+1, m))
		for range 20 {
			put("room-"+strconv.Itoa(other%(rooms-1)), uint64(1+other/(rooms-1)), history.Marks{})
			other++
		}
	}
}

// A check of a shard whose edge holds 100 000 members, and of one whose edge holds none: both
// sides keep the sums as they change. The difference is the ledger, which stores the members
// at the same time.
func BenchmarkCheck(b *testing.B) {
	for _, members := range []int{0, 100_000} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			srv := natstest.Start(b)
			nc := srv.Conn(b)
			provision(b, nc, 1)
			o := newOwner(b, nc, presence.ScopeAll)
			const room = "general"
			e := newEdge(srv.Conn(b), "e1")
			check := wire.Check{Origin: e.origin}
			fakeEdge(b, nc, o, e.origin, func(shard uint64) (parts []wire.Snapshot) {
				if int(shard) != subject.Shard(room) || members == 0 {
					return []wire.Snapshot{{Part: 1, Last: true}}
				}
				for first := 0; first < members; first += 5000 {
					rm := wire.RoomMembers{Room: room}
					for i := range 5000 {
						rm.Users = append(rm.Users, wire.User{ID: fmt.Sprint("user-", first+i)})
					}
					parts = append(parts, wire.Snapshot{Part: uint64(first/5000) + 1, Last: first+5000 == members, Rooms: []wire.RoomMembers{rm}})
				}
				return parts
			})
			for i := range members {
				check.Members.Add(wire.MemberSum(room, fmt.Sprint("user-", i)))
			}
			o.acquire(b, subject.Shard(room))
			e.join(b, room, "last") // after the snapshot
			check.Members.Add(wire.MemberSum(room, "last"))
			for b.Loop() {
				var d wire.Done
				if !e.room(subject.OpCheck, room, &check, &d) || d.Code != "" {
					b.Fatalf("check: %+v", d)
				}
			}
		})
	}
}

// Users join and leave a room one after another: the answers do not wait for the ledger.
func BenchmarkJoinLeave(b *testing.B) {
	e, _ := startOn(b, natstest.Start(b, natstest.Durable))
	e.join(b, "general", "ann")
	for i := 0; b.Loop(); i++ {
		user := fmt.Sprint("user-", i)
		e.join(b, "general", user)
		var d wire.Done
		if !e.room(subject.OpLeave, "general", &wire.Leave{Origin: e.origin, Room: "general", User: user}, &d) {
			b.Fatal("no answer")
		}
	}
}
