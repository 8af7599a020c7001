package shard

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

// command decodes and carries out one operation. It answers reply itself, now or
// later, unless it returns an error: then nothing has happened.
type handler func(data []byte, reply string) error

// commandTable is every operation of a shard by the last token of its subject;
// those on users come with "user." in front.
func (s *shard) newHandlers() map[string]handler {
	return map[string]handler{
		string(subject.OpJoin):  on(s, func(c *wire.Join) string { return c.Room }, s.rooms.Join),
		string(subject.OpLeave): on(s, func(c *wire.Leave) string { return c.Room }, s.rooms.Leave),
		string(subject.OpSend):  on(s, func(c *wire.Send) string { return c.Room }, s.rooms.Send),
		string(subject.OpStats): on(s, func(c *wire.RoomStats) string { return c.Room }, s.rooms.Stats),
		string(subject.OpHist):  on(s, func(c *wire.History) string { return c.Room }, s.rooms.History),
		string(subject.OpRead):  on(s, func(c *wire.Read) string { return c.Room }, s.rooms.Read),
		string(subject.OpHeads): on(s, nil, s.rooms.Heads),

		userOp + string(subject.OpUserUp):     on(s, nil, s.users.Up),
		userOp + string(subject.OpUserDown):   on(s, nil, s.users.Down),
		userOp + string(subject.OpUserStatus): on(s, nil, s.users.Status),
		userOp + string(subject.OpUserGet):    on(s, nil, s.users.Get),
	}
}

const userOp = "user."

// needsSync tells whether an operation changes or tells who is here, so that it
// must wait for the edges' snapshots.
func needsSync(op string) bool {
	switch op {
	case string(subject.OpJoin), string(subject.OpLeave), string(subject.OpStats),
		userOp + string(subject.OpUserUp), userOp + string(subject.OpUserDown),
		userOp + string(subject.OpUserStatus), userOp + string(subject.OpUserGet):
		return true
	}
	return false
}

// on makes a command of what carries it out. room, if not nil, names the room
// that it is about, which must be of this shard.
func on[T any, P interface {
	*T
	wire.Message
}](l *shard, room func(P) string, do func(P, string)) handler {
	return func(data []byte, reply string) error {
		cmd := P(new(T))
		if err := wire.Unmarshal(data, cmd); err != nil {
			return code.New(code.BadRequest, "malformed command")
		}
		if room != nil && !l.ownsRoom(room(cmd)) {
			return code.New(code.BadRequest, "no room of this shard")
		}
		do(cmd, reply)
		return nil
	}
}

// ours tells whether id is a room of this shard.
func (s *shard) ownsRoom(id string) bool {
	return s.rooms.Has(id) || event.ValidRoomID(id) && subject.Shard(id) == s.lease.Shard
}

// handleCommand carries out one message of commands. An owner that has slept past the end
// of its lease says nothing: what it remembers is old, and the next owner is asked
// when the edge sends its command again.
func (s *shard) handleCommand(m *nats.Msg) {
	if !s.lease.Valid(s.now) {
		return
	}
	switch m.Sub {
	case s.syncSub:
		s.applySnapshot(m)
		return
	case s.typingSub:
		var t wire.Typing
		if wire.Unmarshal(m.Data, &t) == nil && s.ownsRoom(t.Room) {
			s.rooms.Typing(&t)
		}
		return
	}
	if len(s.commands) > shedAbove {
		s.refuse(m.Reply, errBusy())
		return
	}
	op := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	if m.Sub == s.userSub {
		op = userOp + op
	}
	if s.sync.active && needsSync(op) {
		s.deferCommand(m)
		return
	}
	s.execute(op, m)
}

func errBusy() error { return code.New(code.Unavailable, "overloaded, try again") }

func (s *shard) execute(op string, m *nats.Msg) {
	do, ok := s.handlers[op]
	if !ok {
		s.refuse(m.Reply, code.New(code.BadRequest, "unknown operation"))
		return
	}
	s.spans.startSpan(op, m)
	if err := do(m.Data, m.Reply); err != nil {
		s.refuse(m.Reply, err)
	}
}

// refuse answers any command: every reply has a Fault in the same fields.
func (s *shard) refuse(reply string, err error) {
	s.publisher.Publish(reply, &wire.Done{Fault: wire.FaultOf(err)})
}

func (s *shard) subscribe() error {
	nc, shard := s.cfg.Conn, s.lease.Shard
	var errs [4]error
	s.roomSub, errs[0] = nc.ChanQueueSubscribe(subject.RoomCommands(shard), subject.QueueRoom, s.commands)
	s.userSub, errs[1] = nc.ChanQueueSubscribe(subject.UserCommands(shard), subject.QueueRoom, s.commands)
	s.typingSub, errs[2] = nc.ChanQueueSubscribe(subject.RoomTyping(shard), subject.QueueRoom, s.commands)
	s.sync.inbox = nc.NewInbox()
	s.syncSub, errs[3] = nc.ChanSubscribe(s.sync.inbox+".*", s.commands)
	return errors.Join(errs[:]...)
}

func (s *shard) subscriptions() []*nats.Subscription {
	return []*nats.Subscription{s.roomSub, s.userSub, s.typingSub, s.syncSub}
}

func (s *shard) unsubscribe() {
	for _, sub := range s.subscriptions() {
		if sub != nil {
			// The connection may be gone already; then the subscription is too.
			_ = sub.Unsubscribe()
		}
	}
}

// drain ends the subscriptions so that what is on its way still arrives. Without
// NATS there is nothing on its way.
func (s *shard) drain(timeout time.Duration) {
	defer s.unsubscribe()
	if !s.cfg.Conn.IsConnected() {
		return
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var gone []chan struct{}
	for _, sub := range s.subscriptions() {
		closed := make(chan struct{})
		// The library calls it with the connection locked, and may do so twice.
		once := sync.OnceFunc(func() { close(closed) })
		sub.SetClosedHandler(func(string) { once() })
		if sub.Drain() == nil {
			gone = append(gone, closed)
		}
	}
	for _, closed := range gone {
		select {
		case <-closed:
		case <-timer.C:
			return
		}
	}
}
