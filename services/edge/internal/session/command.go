package session

import (
	"bytes"
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
	// maxInFlight is how many requests of one connection are in progress; with that
	// many open nothing more is read until half of them have been answered.
	maxInFlight = 64

	// patience is how long an owner may take, so that with all delays on the way a
	// client is answered within 5 s after we received its request.
	patience = 4500 * time.Millisecond
)

// command is a request in progress. It waits until it has its permit and until
// earlier requests about the same room have been sent; then it runs. Owned by the
// connection's loop.
type command struct {
	s       *Session
	id      int64 // codec.NoReply when the client did not ask for it
	def     *definition
	at      time.Time // of receipt
	payload event.Request
	json    []byte // the payload's, of an event that is forwarded
	room    string // empty when it is not about a room

	cost    wire.Action // 0: free
	permit  quota.Decision
	decided bool // permit is valid

	restoring *restoring // of a join that Restore makes

	header nats.Header // trace context for the owner; usually nil
	span   trace.Span  // nil when nothing is traced
}

// work is what a session has in progress. Owned by the connection's loop.
type work struct {
	s       *Session
	open    int        // requests without answer
	waiting []*command // those that have not run, in the order they came
	later   bool       // Flush is due in this turn
	joining []string   // rooms with a join in progress; one that is joined twice is listed twice
	sending []string   // rooms with a message in progress
	replays []*replay
}

// Dispatch starts a request. The request's bytes are not kept.
func (s *Session) Dispatch(req codec.Request) {
	def, known := s.local.core.definitions[string(req.Event)]
	if !known {
		s.fail(context.Background(), req.ID, "", code.New(code.BadRequest, "unknown event"))
		return
	}
	if def.instant != nil {
		s.reply(req.ID, def.Reply, def.instant(s))
		return
	}
	c := &command{s: s, id: req.ID, def: def, at: time.Now(), payload: def.Payload(), cost: def.Cost}
	c.startSpan()
	if err := c.payload.Decode(req.Data); err != nil {
		c.refuse(err)
		return
	}
	if p, ok := c.payload.(event.RoomRequest); ok {
		c.room = p.Room()
	}
	if def.NeedsRoom && s.LocalRoom(c.room) == nil && !s.joins(c.room) {
		c.refuse(errNotInRoom())
		return
	}
	if def.Route != event.RouteLocal {
		c.json = bytes.Clone(req.Data)
	}
	if p, ok := c.payload.(*event.JoinRoom); ok && p.Since != nil {
		c.cost = wire.ActionResume
	}
	s.queue(c)
}

func errNotInRoom() *code.Error { return code.New(code.NotInRoom, "join the room first") }

// queue puts c behind the requests that wait, and asks for its permit.
func (s *Session) queue(c *command) {
	w := s.work
	if w == nil {
		w = &work{s: s}
		s.work = w
	}
	w.open++
	w.waiting = append(w.waiting, c)
	if c.cost == 0 {
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
// touch c before this has returned.
func (s *Session) askPermit(c *command) {
	loop := s.local.loop
	var first atomic.Bool // the second of the two finishes the job
	var early quota.Decision
	s.local.core.Quota.Take(s.User.ID, c.cost, func(d quota.Decision) {
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

// joins reports whether a join of the room is in progress or waits.
func (s *Session) joins(room string) bool {
	w := s.work
	return w != nil && (slices.Contains(w.joining, room) || slices.ContainsFunc(w.waiting, func(c *command) bool {
		return c.def.Name == event.NameJoinRoom && c.room == room
	}))
}

// advanceFor runs what can run now that something is new about c. Messages wait until
// the end of this turn of the loop: those that were read together travel together.
func (w *work) advanceFor(c *command) {
	switch {
	case c.message() == nil:
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
	for i := 0; i < len(w.waiting); {
		c := w.waiting[i]
		if !c.decided || w.mustWait(c, i) {
			i++
			continue
		}
		w.waiting = slices.Delete(w.waiting, i, i+1)
		c.run()
		i = 0 // others may be able to run now, or this was the last
		if w.s.work != w {
			return
		}
	}
}

// advance runs what can run, if the session has anything in progress.
func (s *Session) advance() {
	if s.work != nil {
		s.work.advance()
	}
}

// mustWait reports whether something earlier about c's room has to come first.
func (w *work) mustWait(c *command, i int) bool {
	if c.room == "" {
		return false
	}
	return slices.Contains(w.joining, c.room) ||
		c.message() != nil && slices.Contains(w.sending, c.room) || // see maxBurst
		slices.ContainsFunc(w.waiting[:i], func(earlier *command) bool { return earlier.room == c.room })
}

// run carries out c if it has its permit and its room.
func (c *command) run() {
	switch {
	case !c.permit.OK && c.cost == wire.ActionTyping:
		c.succeed(&event.TypingUpdated{Timestamp: c.s.now(), RetryAfterMs: code.Millis(c.permit.RetryAfter)})
		c.s.local.countRefusal(code.RateLimited)
	case !c.permit.OK:
		e := code.New(code.RateLimited, "too many requests of this kind: wait a moment")
		e.RetryAfter = c.permit.RetryAfter
		c.fail(e)
	case c.def.NeedsRoom && c.s.LocalRoom(c.room) == nil: // the join before it has failed
		c.fail(errNotInRoom())
	default:
		c.def.run(c)
	}
}

// succeed answers c with success.
func (c *command) succeed(r event.Reply) {
	if !c.s.closed {
		c.s.reply(c.id, c.def.Reply, r)
	}
	c.finish()
}

// fail answers c with an error.
func (c *command) fail(err error) {
	if !c.s.closed {
		if c.id != codec.NoReply {
			c.s.fail(c.context(), c.id, c.def.Name, relay.Refusal(err))
		}
		if c.restoring != nil {
			c.restoring.joined(false)
		}
	}
	if c.span != nil {
		c.span.RecordError(err)
	}
	c.finish()
}

// refuse is fail for a command that was not queued.
func (c *command) refuse(err error) {
	c.s.fail(c.context(), c.id, c.def.Name, relay.Refusal(err))
	if c.span != nil {
		c.span.RecordError(err)
		c.span.End()
	}
}

// finish releases c's in-flight slot and resumes reading if the session was throttled.
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
	w.releaseIdle()
}

// releaseIdle frees w when nothing is in progress.
func (w *work) releaseIdle() {
	if w.open == 0 && len(w.waiting) == 0 && len(w.joining) == 0 && len(w.sending) == 0 && len(w.replays) == 0 && w.s.work == w {
		w.s.work = nil
	}
}

// abandon drops everything: the connection has ended.
func (w *work) abandon() {
	for _, r := range w.replays {
		r.stop()
	}
	w.waiting, w.replays, w.joining, w.sending = nil, nil, nil, nil
}

// deadline is until when the owner may answer.
func (c *command) deadline() time.Time { return c.at.Add(patience) }

// onLoop returns a function that runs handle on the session's loop, unless the
// connection has ended by then.
func (s *Session) onLoop(handle func([]byte, error)) func([]byte, error) {
	return func(reply []byte, err error) {
		s.local.loop.Post(func() {
			if !s.closed {
				handle(reply, err)
			}
		})
	}
}

// now is the time as clients see it.
func (s *Session) now() event.Time { return event.At(s.local.loop.Now()) }
