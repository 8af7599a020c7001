package shard_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logcheck"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/shared/partition"
)

// traffic is a set of senders that run until stopped, and the replies they got.
type traffic struct {
	stop  chan struct{}
	wg    sync.WaitGroup
	acked atomic.Int64

	mu   sync.Mutex // guards acks, odd
	acks []logcheck.Ack
	odd  []string // codes of answers that must not be
}

// pace is the pause of a sender between two messages. Virtual time would stand still without it.
const pace = time.Millisecond

// sending starts senders, each with its own user, in each room. Every fifth message
// is sent twice at the same time.
func sending(e *edge, rooms []string, senders int) *traffic {
	tr := &traffic{stop: make(chan struct{})}
	for _, room := range rooms {
		for s := range senders {
			user := fmt.Sprint("user-", s)
			tr.wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-tr.stop:
						return
					case <-time.After(pace):
					}
					cid := fmt.Sprint("m", n)
					if n%5 == 0 {
						tr.wg.Go(func() { tr.one(e, room, user, cid) })
					}
					tr.one(e, room, user, cid)
				}
			})
		}
	}
	return tr
}

func (tr *traffic) one(e *edge, room, user, cid string) {
	s := e.send(room, user, cid, "content of "+cid)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch {
	case s == nil || s.Code == "UNAVAILABLE":
	case s.Code != "":
		tr.odd = append(tr.odd, s.Code)
	default:
		tr.acked.Add(1)
		tr.acks = append(tr.acks, logcheck.Ack{Room: room, User: user, ClientID: cid, Seq: s.Seq, Message: string(s.Message)})
	}
}

// end stops the senders and returns what was acknowledged.
func (tr *traffic) end(tb testing.TB) []logcheck.Ack {
	tb.Helper()
	close(tr.stop)
	tr.wg.Wait()
	for _, o := range tr.odd {
		tb.Errorf("unexpected answer: %s", o)
	}
	return tr.acks
}

// until waits for more acknowledgements.
func (tr *traffic) until(tb testing.TB, more int64) {
	tb.Helper()
	want := tr.acked.Load() + more
	eventually.True(tb, fmt.Sprintf("%d more acknowledgements", more), func() bool { return tr.acked.Load() >= want })
}

func verify(t *testing.T, nc *nats.Conn, rooms []string, acks []logcheck.Ack) {
	t.Helper()
	for _, room := range rooms {
		logcheck.Verify(t, nc, streams, room, acks)
	}
	t.Logf("%d acknowledged", len(acks))
}

var (
	fightRooms = []string{"general", "a/b", "quiet"}
	tolerant   = nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
)

// Three owners of the same shards at once make it slower, but the log stays in order.
func TestOwnersFight(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) { fight(t, natstest.Start(t), 1) })
}

// Three replicas refuse what one server accepts.
func TestOwnersFightOnACluster(t *testing.T) {
	t.Parallel()
	fight(t, natstest.StartCluster(t, 3), 3)
}

func fight(t *testing.T, srv dialer, replicas int) {
	nc := srv.Conn(t)
	provision(t, nc, replicas)
	for range 3 {
		newOwner(t, srv.Conn(t), presence.ScopeAll, shardsOf(fightRooms)...)
	}
	tr := sending(newEdge(srv.Conn(t), "e1"), fightRooms, 4)
	tr.until(t, 600)
	verify(t, nc, fightRooms, tr.end(t))
}

// The bytes from NATS to an owner are delayed and then lost, again and again: its appends are
// stored, and it gets no acknowledgement. A second owner works as well.
func TestAcknowledgementsGetLost(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		srv := natstest.Start(t)
		nc := srv.Conn(t)
		provision(t, nc, 1)
		gate := srv.Gate(t)
		newOwner(t, gate.Conn(t, tolerant), presence.ScopeAll, shardsOf(fightRooms)...)
		newOwner(t, srv.Conn(t), presence.ScopeAll, shardsOf(fightRooms)...)
		tr := sending(newEdge(srv.Conn(t), "e1"), fightRooms, 4)
		for range 3 {
			tr.until(t, 100)
			gate.Blackhole(natstest.Down)
			tr.until(t, 20)
			gate.Break() // what was held up never arrives
			gate.Open()
		}
		verify(t, nc, fightRooms, tr.end(t))
	})
}

func TestServerRestarts(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		srv := natstest.Start(t)
		nc := srv.Conn(t, tolerant)
		provision(t, nc, 1)
		newOwner(t, srv.Conn(t, tolerant), presence.ScopeAll, shardsOf(fightRooms)...)
		tr := sending(newEdge(srv.Conn(t, tolerant), "e1"), fightRooms, 4)
		for range 3 {
			tr.until(t, 200)
			srv.Restart(t)
		}
		tr.until(t, 200)
		verify(t, nc, fightRooms, tr.end(t))
	})
}

// Leaders of the streams step down under load.
func TestLeadersStepDown(t *testing.T) {
	t.Parallel()
	srv := natstest.StartCluster(t, 3)
	nc := srv.Conn(t)
	provision(t, nc, 3)
	newOwner(t, srv.Conn(t), presence.ScopeAll, shardsOf(fightRooms)...)
	tr := sending(newEdge(srv.Conn(t), "e1"), fightRooms, 4)
	for k := range streams {
		tr.until(t, 100)
		srv.StepDown(t, fmt.Sprint("LOG_", k))
	}
	tr.until(t, 100)
	verify(t, nc, fightRooms, tr.end(t))
}

// Ownership moves under load, gracefully.
func TestOwnershipMoves(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		srv := natstest.Start(t)
		nc := srv.Conn(t)
		provision(t, nc, 1)
		shards := shardsOf(fightRooms)
		now := newOwner(t, srv.Conn(t), presence.ScopeAll, shards...)
		tr := sending(newEdge(srv.Conn(t), "e1"), fightRooms, 4)
		for range 5 {
			tr.until(t, 150)
			now.release(shards)
			now = newOwner(t, srv.Conn(t), presence.ScopeAll, shards...)
		}
		tr.until(t, 150)
		verify(t, nc, fightRooms, tr.end(t))
	})
}

// A new owner recognises the messages of earlier owners, also when they are more than it reads one
// by one.
func TestNewOwnerRecognisesWhatIsStored(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	provision(t, srv.Conn(t), 1)
	const room, each, owners = "general", 450, 3
	shards := shardsOf([]string{room})
	e := newEdge(srv.Conn(t), "e1")
	seqs := map[string]uint64{}
	for n := range owners {
		o := newOwner(t, srv.Conn(t), presence.ScopeAll, shards...)
		for id, seq := range seqs {
			if seq%7 != uint64(n) { // some of them, from all of the log
				continue
			}
			if s := e.send(room, "ann", id, "hello"); s == nil || s.Code != "" || !s.Duplicate || s.Seq != seq {
				t.Fatalf("owner %d: %s, stored as %d, is answered with %+v", n+1, id, seq, s)
			}
		}
		for i := range each {
			id := fmt.Sprintf("%d.%d", n, i)
			s := e.send(room, "ann", id, "hello")
			if s == nil || s.Code != "" || s.Duplicate || s.Seq != uint64(len(seqs)+1) {
				t.Fatalf("owner %d: message %d: %+v", n+1, i, s)
			}
			seqs[id] = s.Seq
		}
		o.release(shards)
	}
}

// An owner whose lease has ended answers nothing: another owner may have continued meanwhile.
func TestOwnerWithoutLeaseIsSilent(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		srv := natstest.Start(t)
		nc := srv.Conn(t)
		provision(t, nc, 1)
		o := newOwner(t, srv.Conn(t), presence.ScopeAll)
		shard := subject.Shard("general")
		if err := o.Acquire(t.Context(), partition.LeaseUntil(shard, epochs.Add(1), time.Now())); err != nil {
			t.Fatal(err)
		}
		if err := o.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		cmd := wire.Marshal(&wire.History{Room: "general", Limit: 1})
		if m, err := nc.Request(subject.RoomCommand(shard, subject.OpHist), cmd, 300*time.Millisecond); err == nil {
			t.Fatalf("it answers %q", m.Data)
		}
		o.release([]int{shard})
		newOwner(t, srv.Conn(t), presence.ScopeAll, shard)
		if s := newEdge(srv.Conn(t), "e1").send("general", "ann", "c", "x"); s == nil || s.Seq != 1 {
			t.Errorf("sent: %+v", s)
		}
	})
}
