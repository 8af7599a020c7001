package namespace

import (
	"crypto/rand"
	"encoding/base64"
	"sync"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

const (
	// recoverable is how long a lost session can be recovered, as long as with the
	// reference implementation.
	recoverable = 2 * time.Minute

	// forwarded is how long it is remembered to which edge a session has gone.
	forwarded = time.Hour

	// maxKept is how many sessions that were lost or have gone are remembered; beyond
	// it the oldest are forgotten, and their clients begin anew.
	maxKept = 1 << 16

	// maxHops is how many edges are asked for one session.
	maxHops = 4

	// pidLength is the length of a private id without the edge's token.
	pidLength = 22
)

// tickets are the sessions that clients may come back for, by private id.
type tickets struct {
	mu    sync.Mutex // guards the following
	byPID map[string]*ticket
	kept  []kept // lost or gone, oldest first; some may be neither any more
}

// ticket is one session: it lives here, was lost, or has gone to another edge.
type ticket struct {
	live  *link
	lost  *lost
	moved string // token of the edge
}

// lost is a session that has ended without the client's will. It does not change.
type lost struct {
	user string
	loop *poll.Loop
	mark hub.DeliveryMark
}

type kept struct {
	pid    string
	ticket *ticket
	until  time.Time
}

// newPID is a session's private id: 128 random bits and where to ask.
func (s *Server) newPID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it does not fail
	pid := base64.RawURLEncoding.EncodeToString(b[:])
	if s.Peers != nil {
		pid += s.Peers.Token()
	}
	return pid
}

// add notes a session that lives.
func (t *tickets) add(l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byPID[l.pid] = &ticket{live: l}
}

// lose notes that a session ends: called before it leaves its rooms.
func (t *tickets) lose(l *link, cause conn.Cause) {
	if l.pid == "" { // given away, or never granted
		return
	}
	var after *ticket
	if cause.Kind != conn.Clean && cause.Code.Reconnect() {
		after = &ticket{lost: &lost{user: l.session.User.ID, loop: l.client.socket.Loop(), mark: l.session.Mark()}}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if held := t.byPID[l.pid]; held == nil || held.live != l {
		return
	}
	t.replace(l.pid, after, recoverable)
}

// replace puts a ticket that is kept for a while in the place of another; nil is
// none. It is called with mu held.
func (t *tickets) replace(pid string, with *ticket, until time.Duration) {
	now := time.Now()
	for len(t.kept) > 0 && (len(t.kept) >= maxKept || now.After(t.kept[0].until)) {
		k := t.kept[0]
		t.kept[0] = kept{}
		t.kept = t.kept[1:]
		if t.byPID[k.pid] == k.ticket {
			delete(t.byPID, k.pid)
		}
	}
	if with == nil {
		delete(t.byPID, pid)
		return
	}
	t.byPID[pid] = with
	t.kept = append(t.kept, kept{pid, with, now.Add(until)})
}

func (t *tickets) find(pid string) *ticket {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byPID[pid]
}

// take takes a session out, if it is still as it was found.
func (t *tickets) take(pid string, found *ticket, to string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byPID[pid] != found {
		return false
	}
	if to == "" {
		t.replace(pid, nil, 0)
	} else {
		t.replace(pid, &ticket{moved: to}, forwarded)
	}
	return true
}

// give answers who asks for a session that is or was here, and lets go of it. It may
// be called from any goroutine, and so may reply be.
func (s *Server) give(m wire.Recover, reply func(*wire.Recovered)) {
	t := s.tickets.find(m.PID)
	switch {
	case t == nil:
		reply(&wire.Recovered{})
	case t.moved != "":
		reply(&wire.Recovered{Edge: t.moved})
	default:
		loop := t.loop()
		if !loop.Post(func() { reply(s.giveHere(t, m)) }) {
			reply(&wire.Recovered{})
		}
	}
}

func (t *ticket) loop() *poll.Loop {
	if t.live != nil {
		return t.live.client.socket.Loop()
	}
	return t.lost.loop
}

// giveHere is give on the session's loop. A session that lives has lost its client
// without noticing: it is closed.
func (s *Server) giveHere(t *ticket, m wire.Recover) *wire.Recovered {
	r := &wire.Recovered{}
	if t.live != nil && t.live.ended {
		if t = s.tickets.find(m.PID); t == nil { // it has ended since t was found
			return r
		}
	}
	was := t.lost
	if l := t.live; l != nil && !l.ended {
		was = &lost{user: l.session.User.ID, loop: l.client.socket.Loop(), mark: l.session.Mark()}
	}
	if was == nil || was.user != m.User {
		return r
	}
	to := m.Edge
	if s.Peers != nil && to == s.Peers.Token() {
		to = ""
	}
	rooms, exact := s.Core.Hub.Local(was.loop.Index()).PositionsAt(was.mark, hub.Position{Room: m.Room, Seq: m.Seq})
	if !exact || !s.tickets.take(m.PID, t, to) {
		return r
	}
	if l := t.live; l != nil && !l.ended {
		l.pid = ""
		l.client.socket.Close(code.CloseStateLost, "recovered elsewhere")
	}
	r.Exact = true
	for _, p := range rooms {
		r.Rooms = append(r.Rooms, wire.RoomPosition{Room: p.Room, Seq: p.Seq})
	}
	return r
}

// recover asks for an earlier session, wherever it was. done runs on the loop.
func (s *Server) recover(l *poll.Loop, m wire.Recover, done func(rooms []hub.Position, exact bool)) {
	if s.Peers != nil {
		m.Edge = s.Peers.Token()
	}
	answered := func(r *wire.Recovered) {
		var rooms []hub.Position
		for _, p := range r.Rooms {
			rooms = append(rooms, hub.Position{Room: p.Room, Seq: p.Seq})
		}
		l.Post(func() { done(rooms, r.Exact) })
	}
	edge := ""
	if len(m.PID) > pidLength {
		edge = m.PID[pidLength:]
	}
	if s.tickets.find(m.PID) != nil {
		edge = m.Edge
	}
	s.ask(edge, m, maxHops, answered)
}

// ask asks an edge, and the one that it names.
func (s *Server) ask(edge string, m wire.Recover, hops int, done func(*wire.Recovered)) {
	next := func(r *wire.Recovered, err error) {
		switch {
		case err != nil:
			done(&wire.Recovered{})
		case r.Edge != "" && hops > 1:
			s.ask(r.Edge, m, hops-1, done)
		default:
			done(r)
		}
	}
	switch {
	case edge == m.Edge:
		s.give(m, func(r *wire.Recovered) { next(r, nil) })
	case s.Peers == nil || !peers.ValidToken(edge):
		done(&wire.Recovered{})
	default:
		s.Peers.Recover(edge, &m, next)
	}
}
