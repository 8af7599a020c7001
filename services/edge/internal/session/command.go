package session

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/quota"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
)

const (
	// maxInFlight is how many requests of one connection are worked on; with that
	// many open nothing more is read until half of them have been answered.
	maxInFlight = 64

	// patience is how long an owner may take, so that with all delays on the way a
	// client is answered 5 s after we received its request, at the latest.
	patience = 4500 * time.Millisecond
)

// command is a request on its way. It waits until it has its permit and until
// earlier requests about the same room have gone out; then it runs.
type command struct {
	s     *Session
	id    int64
	name  string // of the event; empty for what the client has not asked for
	reply string // name of the reply
	at    time.Time

	needsRoom bool
	room      string
	action    wire.Action // 0: free
	permit    quota.Decision
	decided   bool // permit is valid
	run       func(*command)
	restored  func(exact bool) // of a room that Restore joins; called once
	text      *wire.Text       // of a message

	header nats.Header // trace context for the owner; usually nil
	span   trace.Span  // nil when nothing is traced
}

// work is what a session has open.
type work struct {
	s       *Session
	open    int        // requests without answer
	line    []*command // those that have not run, in the order they came
	later   bool       // Flush is due in this turn
	joining []string   // rooms with a join under way; one twice is there twice
	sending []string   // rooms with a message under way
	replays []*replay
}

// Dispatch begins a request. The request's bytes are not kept.
func (s *Session) Dispatch(req codec.Request) {
	r, known := s.local.core.rules[string(req.Event)]
	if !known {
		s.fail(context.Background(), req.ID, "", code.New(code.BadRequest, "unknown event"))
		return
	}
	if r.instant != nil {
		s.reply(req.ID, r.Reply, r.instant(s))
		return
	}
	c := &command{s: s, id: req.ID, name: r.Name, reply: r.Reply, at: time.Now(), needsRoom: r.NeedsRoom}
	c.trace()
	if err := r.begin(c, req.Data); err != nil {
		c.refuse(err)
		return
	}
	if c.needsRoom && s.LocalRoom(c.room) == nil && !s.joins(c.room) {
		c.refuse(code.New(code.NotInRoom, "join the room first"))
		return
	}
	s.begin(c)
}

// begin puts c in line and asks for its permit.
func (s *Session) begin(c *command) {
	w := s.work
	if w == nil {
		w = &work{s: s}
		s.work = w
	}
	w.open++
	w.line = append(w.line, c)
	if c.action == 0 {
		c.decided, c.permit.OK = true, true
	} else {
		s.askPermit(c)
	}
	w.advanceFor(c)
	if w.open >= maxInFlight {
		s.link().PauseReads()
	}
}

// askPermit gets c's permit: at once, or later on another goroutine, which must not
// touch c while Take has not returned here.
func (s *Session) askPermit(c *command) {
	loop := s.local.loop
	var first atomic.Bool // whoever comes second finishes the job
	var early quota.Decision
	s.local.core.Quota.Take(s.User.ID, c.action, func(d quota.Decision) {
		early = d
		if first.CompareAndSwap(false, true) {
			return
		}
		loop.Post(func() {
			if c.decided, c.permit = true, d; !s.closed {
				s.work.advanceFor(c)
			}
		})
	})
	if !first.CompareAndSwap(false, true) {
		c.decided, c.permit = true, early
	}
}

// joins tells whether a join of the room is under way or in line.
func (s *Session) joins(room string) bool {
	w := s.work
	return w != nil && (slices.Contains(w.joining, room) ||
		slices.ContainsFunc(w.line, func(c *command) bool { return c.reply == event.NameJoinedRoom && c.room == room }))
}

// advanceFor runs what can run now that something is new about c. Messages wait until
// the end of this turn of the loop: those that have been read together go together.
func (w *work) advanceFor(c *command) {
	switch {
	case c.text == nil:
		w.advance()
	case !w.later:
		w.later = true
		w.s.local.loop.Defer(w)
	}
}

// Flush implements poll.Flusher.
func (w *work) Flush() {
	w.later = false
	w.advance()
}

// advance runs what can run: in order for each room.
func (w *work) advance() {
	for i := 0; i < len(w.line); {
		c := w.line[i]
		if !c.decided || w.mustWait(c, i) {
			i++
			continue
		}
		w.line = slices.Delete(w.line, i, i+1)
		c.start()
		i = 0 // it may have let others go, or be the last
		if w.s.work != w {
			return
		}
	}
}

// mustWait tells whether something earlier about c's room has to come first.
func (w *work) mustWait(c *command, i int) bool {
	if c.room == "" {
		return false
	}
	return slices.Contains(w.joining, c.room) ||
		c.text != nil && slices.Contains(w.sending, c.room) || // see maxBurst
		slices.ContainsFunc(w.line[:i], func(earlier *command) bool { return earlier.room == c.room })
}

// start runs c if it has its permit and its room.
func (c *command) start() {
	switch {
	case !c.permit.OK && c.action == wire.ActionTyping:
		c.succeed(&event.TypingUpdated{Timestamp: c.s.now(), RetryAfterMs: code.Millis(c.permit.RetryAfter)})
		c.s.local.refuse(code.RateLimited)
	case !c.permit.OK:
		e := code.New(code.RateLimited, "too many requests of this kind: wait a moment")
		e.RetryAfter = c.permit.RetryAfter
		c.fail(e)
	case c.needsRoom && c.s.LocalRoom(c.room) == nil: // the join before it has failed
		c.fail(code.New(code.NotInRoom, "join the room first"))
	default:
		c.run(c)
	}
}

// succeed answers c.
func (c *command) succeed(r event.Reply) {
	if !c.s.closed {
		c.s.reply(c.id, c.reply, r)
	}
	c.finish()
}

// fail refuses c.
func (c *command) fail(err error) {
	if !c.s.closed && c.name != "" { // somebody asked
		c.s.fail(c.context(), c.id, c.name, relay.Refusal(err))
	}
	if c.restored != nil && !c.s.closed {
		c.restored(false)
	}
	if c.span != nil {
		c.span.RecordError(err)
	}
	c.finish()
}

// refuse is fail for a command that has not begun.
func (c *command) refuse(err error) {
	c.s.fail(c.context(), c.id, c.name, relay.Refusal(err))
	if c.span != nil {
		c.span.RecordError(err)
		c.span.End()
	}
}

// finish takes c off the books.
func (c *command) finish() {
	if c.span != nil {
		c.span.End()
	}
	s := c.s
	w := s.work
	if w == nil || s.closed {
		return
	}
	w.open--
	if w.open == maxInFlight/2 {
		s.link().ResumeReads()
	}
	w.tidy()
}

// tidy lets an idle session have no work.
func (w *work) tidy() {
	if w.open == 0 && len(w.line) == 0 && len(w.joining) == 0 && len(w.sending) == 0 && len(w.replays) == 0 && w.s.work == w {
		w.s.work = nil
	}
}

// end lets go of everything: the connection has ended.
func (w *work) end() {
	for _, r := range w.replays {
		r.end()
	}
	w.line, w.replays, w.joining, w.sending = nil, nil, nil, nil
}

// deadline is until when the owner may answer.
func (c *command) deadline() time.Time { return c.at.Add(patience) }

// ask sends m to the owner of the command's room; then runs on the loop, unless the
// connection has ended by then.
func (c *command) ask(op roomOp, m wire.Message, then func(reply []byte, err error)) {
	s := c.s
	shard := s.LocalRoom(c.room).Shard()
	s.local.core.Relay.RoomCommand(shard, op, m, c.header, c.deadline(), s.onLoop(then))
}

// onLoop makes an answer come to the session's loop.
func (s *Session) onLoop(then func([]byte, error)) func([]byte, error) {
	return func(reply []byte, err error) {
		s.local.loop.Post(func() {
			if !s.closed {
				then(reply, err)
			}
		})
	}
}

// now is the time as clients are told it.
func (s *Session) now() event.Time { return event.At(s.local.loop.Now()) }
