package engine_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/shared/natsconn"
)

// direct passes the requests of one edge to the owner without NATS.
type direct struct {
	owner *fixture
	dead  bool
}

// Do implements peers.Asker.
func (d *direct) Do(_ string, _ nats.Header, data []byte, _ time.Duration, done natsconn.Done) {
	var m wire.Poll
	if d.dead || wire.Unmarshal(data, &m) != nil {
		done(nil, nats.ErrNoResponders)
		return
	}
	d.owner.server.ServePeer(m, func(r *wire.Polled) { done(&nats.Msg{Data: wire.Marshal(r)}, nil) })
}

// runRemote runs a test with a session at its owner, and the session as seen from
// another edge.
func runRemote(t *testing.T, test func(owner *fixture, s *session, d *direct)) {
	synctest.Test(t, func(t *testing.T) {
		d := &direct{owner: newFixture(t, peers.New(nil, nil, nil))}
		other := newFixture(t, peers.New(nil, d, nil))
		s := d.owner.open()
		test(d.owner, &session{other, s.sid}, d)
	})
}

// Requests that reach another edge are answered like those that reach the owner.
func TestRemoteRequests(t *testing.T) {
	t.Parallel()
	runRemote(t, func(owner *fixture, s *session, _ *direct) {
		waiting := s.get()
		owner.turn()
		owner.want("nothing to send", waiting.answer(), "waits")
		owner.emit("one")
		owner.want("poll", waiting.answer(), "200 4one")
		posted := s.post("4two\x1ebAQID")
		owner.turn()
		owner.want("post", posted.answer(), "200 ok")
		owner.want("delivered", owner.called(), "text:two binary:\x01\x02\x03")

		first, second := s.get(), s.get()
		owner.turn()
		owner.want("two polls", second.answer(), `400 {"code":3,"message":"Bad request"}`)
		owner.want("two polls", first.answer(), "200 1")
		owner.want("calls", owner.called(), "closed:ours,1008")
		owner.want("poll afterwards", s.get().answer(), unknownSession)
	})
}

// The owner holds a poll for a while only. The other edge asks again, and notices when the
// owner has died.
func TestRemotePollIsHeld(t *testing.T) {
	t.Parallel()
	runRemote(t, func(owner *fixture, s *session, d *direct) {
		waiting := s.get()
		owner.turn()
		for range 3 {
			owner.pass(peers.Hold - 100*time.Millisecond)
			owner.want("held", waiting.answer(), "waits")
			owner.pass(200 * time.Millisecond)
		}
		owner.emit("one")
		owner.want("poll", waiting.answer(), "200 4one")
		waiting = s.get()
		owner.turn()
		d.dead = true
		owner.pass(peers.Hold + 100*time.Millisecond)
		owner.want("the owner has died", waiting.answer(), unknownSession)
	})
}

// The client abandons a poll at another edge.
func TestRemotePollAbandoned(t *testing.T) {
	t.Parallel()
	run(t, func(f *fixture) {
		s := f.open()
		answers := 0
		serve := func(kind wire.PollKind, id uint64) {
			f.server.ServePeer(wire.Poll{Kind: kind, SID: s.sid, ID: id}, func(*wire.Polled) { answers++ })
			f.turn()
		}
		serve(wire.PollGet, 7)
		serve(wire.PollGone, 8)
		f.want("another poll", f.called(), "")
		serve(wire.PollGone, 7)
		f.want("the waiting poll", f.called(), "closed:lost,1006")
		if answers != 0 {
			t.Errorf("%d answers", answers)
		}
		serve(wire.PollGet, 9)
		if answers != 1 {
			t.Errorf("%d answers to an unknown session", answers)
		}
	})
}

// Only ids that another edge can have made are forwarded.
func TestNotForwarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := peers.New(nil, asks(func() { t.Error("forwarded") }), nil)
		f := newFixture(t, p)
		s := f.open()
		random := s.sid[:len(s.sid)-len(p.Token())]
		for _, sid := range []string{"", "x", random, random + p.Token(), random + "a.b.c.>*", random + "short", strings.Repeat("a", 64)} {
			if sid == s.sid {
				s.post("1") // now it is unknown
			}
			f.want(sid, (&session{f, sid}).get().answer(), unknownSession)
		}
	})
}

// asks is a peers.Asker that is called instead of sending.
type asks func()

func (a asks) Do(_ string, _ nats.Header, _ []byte, _ time.Duration, done natsconn.Done) {
	a()
	done(nil, errors.New("not sent"))
}
