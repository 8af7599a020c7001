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
	"github.com/confab-chat/confab/services/room/internal/shard/request"
)

// handler carries out one operation.
type handler struct {
	// run decodes and carries out a command. It answers reply itself, now or later,
	// unless it returns an error: then nothing has happened.
	run func(data []byte, reply string) error
	// needsSync makes commands wait for the edges' snapshots: the operation changes or
	// shows who is here.
	needsSync bool
}

// newHandlers returns the handler of every operation by the last token of its subject;
// those of users have userOp in front.
func (s *shard) newHandlers() map[string]handler {
	handlers := map[string]handler{
		string(subject.OpJoin):   {on(s, func(c *wire.Join) string { return c.Room }, s.rooms.Join), true},
		string(subject.OpLeave):  {on(s, func(c *wire.Leave) string { return c.Room }, s.rooms.Leave), true},
		string(subject.OpSend):   {on(s, func(c *wire.Send) string { return c.Room }, s.rooms.Send), false},
		string(subject.OpHist):   {on(s, func(c *wire.History) string { return c.Room }, s.rooms.History), false},
		string(subject.OpHeads):  {on(s, nil, s.rooms.Heads), false},
		string(subject.OpCheck):  {on(s, nil, s.check), true},
		string(subject.OpRepeat): {on(s, nil, s.repeat), true},

		userOp + string(subject.OpUserUp):   {on(s, nil, s.users.Up), true},
		userOp + string(subject.OpUserDown): {on(s, nil, s.users.Down), true},
		userOp + string(subject.OpUserGet):  {on(s, nil, s.users.Get), true},
	}
	needsSync := make(map[string]bool)
	for _, def := range event.Catalog() {
		needsSync[def.Name] = def.NeedsSync
	}
	for _, r := range s.rooms.Rules() {
		handlers[r.Event] = handler{s.onEvent(&r), needsSync[r.Event]}
	}
	for _, r := range s.users.Rules() {
		handlers[userOp+r.Event] = handler{s.onEvent(&r), needsSync[r.Event]}
	}
	return handlers
}

const userOp = "user."

// on decodes a command for do. room, if not nil, returns the command's room, which must
// be of this shard.
func on[T any, P interface {
	*T
	wire.Message
}](s *shard, room func(P) string, do func(P, string)) func([]byte, string) error {
	return func(data []byte, reply string) error {
		cmd := P(new(T))
		if err := wire.Unmarshal(data, cmd); err != nil {
			return code.New(code.BadRequest, "malformed command")
		}
		if room != nil && !s.ownsRoom(room(cmd)) {
			return errForeignRoom()
		}
		do(cmd, reply)
		return nil
	}
}

// onEvent decodes a client event for its rule. A room's event must be about a room of
// this shard.
func (s *shard) onEvent(rule *request.Rule) func([]byte, string) error {
	return func(data []byte, reply string) error {
		var cmd wire.Command
		if err := wire.Unmarshal(data, &cmd); err != nil {
			return code.New(code.BadRequest, "malformed command")
		}
		payload, err := rule.Decode(&cmd)
		if err != nil {
			return err
		}
		if p, ok := payload.(event.RoomRequest); ok && !s.ownsRoom(p.Room()) {
			return errForeignRoom()
		}
		rule.Run(request.New(s.publisher, &cmd, reply), payload)
		return nil
	}
}

func errForeignRoom() error { return code.New(code.BadRequest, "not a room of this shard") }

// ownsRoom reports whether id is a room of this shard.
func (s *shard) ownsRoom(id string) bool {
	return s.rooms.Has(id) || event.ValidRoomID(id) && subject.Shard(id) == s.lease.Shard
}

// handleCommand handles one message of the buffer. An owner that was suspended past the end of
// its lease ignores it: its state is outdated, and the edge sends the command again, to the
// next owner.
func (s *shard) handleCommand(m *nats.Msg) {
	if !s.lease.Valid(s.now) {
		return
	}
	switch m.Sub {
	case s.syncSub:
		s.receiveSnapshot(m)
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
	if s.sync.active && s.handlers[op].needsSync {
		s.deferCommand(m)
		return
	}
	s.execute(op, m)
}

func errBusy() error { return code.New(code.Unavailable, "overloaded, try again") }

func (s *shard) execute(op string, m *nats.Msg) {
	h, ok := s.handlers[op]
	if !ok {
		s.refuse(m.Reply, code.New(code.BadRequest, "unknown operation"))
		return
	}
	s.spans.startSpan(op, m)
	if err := h.run(m.Data, m.Reply); err != nil {
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
	s.syncSub, errs[3] = nc.ChanSubscribe(s.sync.inbox, s.commands)
	return errors.Join(errs[:]...)
}

func (s *shard) subscriptions() []*nats.Subscription {
	return []*nats.Subscription{s.roomSub, s.userSub, s.typingSub, s.syncSub}
}

func (s *shard) unsubscribe() {
	for _, sub := range s.subscriptions() {
		if sub != nil {
			// If the connection is closed already, so is the subscription.
			_ = sub.Unsubscribe()
		}
	}
}

// drain ends the subscriptions after what NATS is delivering has arrived. Without NATS it
// does not wait.
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
		// The library calls it with the connection locked, possibly twice.
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
