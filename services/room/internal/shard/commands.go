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
type command func(data []byte, reply string) error

// commandTable is every operation of a shard by the last token of its subject;
// those on users come with "user." in front.
func (l *loop) commandTable() map[string]command {
	return map[string]command{
		string(subject.OpJoin):  on(l, func(c *wire.Join) string { return c.Room }, l.rooms.Join),
		string(subject.OpLeave): on(l, func(c *wire.Leave) string { return c.Room }, l.rooms.Leave),
		string(subject.OpSend):  on(l, func(c *wire.Send) string { return c.Room }, l.rooms.Send),
		string(subject.OpStats): on(l, func(c *wire.RoomStats) string { return c.Room }, l.rooms.Stats),
		string(subject.OpHist):  on(l, func(c *wire.History) string { return c.Room }, l.rooms.History),
		string(subject.OpRead):  on(l, func(c *wire.Read) string { return c.Room }, l.rooms.Read),
		string(subject.OpHeads): on(l, nil, l.rooms.Heads),

		userOp + string(subject.OpUserUp):     on(l, nil, l.users.Up),
		userOp + string(subject.OpUserDown):   on(l, nil, l.users.Down),
		userOp + string(subject.OpUserStatus): on(l, nil, l.users.Status),
		userOp + string(subject.OpUserGet):    on(l, nil, l.users.Get),
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
}](l *loop, room func(P) string, do func(P, string)) command {
	return func(data []byte, reply string) error {
		cmd := P(new(T))
		if err := wire.Unmarshal(data, cmd); err != nil {
			return code.New(code.BadRequest, "malformed command")
		}
		if room != nil && !l.ours(room(cmd)) {
			return code.New(code.BadRequest, "no room of this shard")
		}
		do(cmd, reply)
		return nil
	}
}

// ours tells whether id is a room of this shard.
func (l *loop) ours(id string) bool {
	return l.rooms.Has(id) || event.ValidRoomID(id) && subject.Shard(id) == l.lease.Shard
}

// command takes one message from the mailbox. An owner that has slept past the end
// of its lease says nothing: what it remembers is old, and the next owner is asked
// when the edge sends its command again.
func (l *loop) command(m *nats.Msg) {
	if !l.lease.Valid(l.now) {
		return
	}
	switch m.Sub {
	case l.syncSub:
		l.snapshot(m)
		return
	case l.typingSub:
		var t wire.Typing
		if wire.Unmarshal(m.Data, &t) == nil && l.ours(t.Room) {
			l.rooms.Typing(&t)
		}
		return
	}
	if len(l.commands) > shedAt {
		l.refuse(m.Reply, errBusy())
		return
	}
	op := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	if m.Sub == l.userSub {
		op = userOp + op
	}
	if l.sync.active && needsSync(op) {
		l.hold(m)
		return
	}
	l.carryOut(op, m)
}

func errBusy() error { return code.New(code.Unavailable, "overloaded, try again") }

func (l *loop) carryOut(op string, m *nats.Msg) {
	do, ok := l.table[op]
	if !ok {
		l.refuse(m.Reply, code.New(code.BadRequest, "unknown operation"))
		return
	}
	l.spans.begin(op, m)
	if err := do(m.Data, m.Reply); err != nil {
		l.refuse(m.Reply, err)
	}
}

// refuse answers any command: every reply has a Fault in the same fields.
func (l *loop) refuse(reply string, err error) {
	l.out.Publish(reply, &wire.Done{Fault: wire.FaultOf(err)})
}

func (l *loop) subscribe() error {
	nc, shard := l.cfg.Conn, l.lease.Shard
	var errs [4]error
	l.roomSub, errs[0] = nc.ChanQueueSubscribe(subject.RoomCommands(shard), subject.QueueRoom, l.commands)
	l.userSub, errs[1] = nc.ChanQueueSubscribe(subject.UserCommands(shard), subject.QueueRoom, l.commands)
	l.typingSub, errs[2] = nc.ChanQueueSubscribe(subject.RoomTyping(shard), subject.QueueRoom, l.commands)
	l.sync.inbox = nc.NewInbox()
	l.syncSub, errs[3] = nc.ChanSubscribe(l.sync.inbox+".*", l.commands)
	return errors.Join(errs[:]...)
}

func (l *loop) subscriptions() []*nats.Subscription {
	return []*nats.Subscription{l.roomSub, l.userSub, l.typingSub, l.syncSub}
}

func (l *loop) unsubscribe() {
	for _, s := range l.subscriptions() {
		if s != nil {
			// The connection may be gone already; then the subscription is too.
			_ = s.Unsubscribe()
		}
	}
}

// drain ends the subscriptions so that what is on its way still arrives. Without
// NATS there is nothing on its way.
func (l *loop) drain(timeout time.Duration) {
	defer l.unsubscribe()
	if !l.cfg.Conn.IsConnected() {
		return
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var gone []chan struct{}
	for _, s := range l.subscriptions() {
		closed := make(chan struct{})
		// The library calls it with the connection locked, and may do so twice.
		once := sync.OnceFunc(func() { close(closed) })
		s.SetClosedHandler(func(string) { once() })
		if s.Drain() == nil {
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
