package session

import (
	"bytes"
	"context"
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

// patience is how long an owner may take, so that with all delays on the way a client
// is answered within 5 s after we received its request.
const patience = 4500 * time.Millisecond

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

// run carries out c if it has its permit and its room.
func (c *command) run() {
	switch {
	case !c.permit.OK && c.cost == wire.ActionTyping:
		c.succeed(&event.TypingUpdated{Timestamp: c.s.now(), RetryAfterMs: code.Millis(c.permit.RetryAfter)})
		c.s.local.countRefusal(code.RateLimited)
	case !c.permit.OK && !c.mayRepeat():
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
	c.refuse(err)
	if c.restoring != nil && !c.s.closed {
		c.restoring.joined(false)
	}
	c.finish()
}

// refuse is fail for a command that was not queued.
func (c *command) refuse(err error) {
	if c.id != codec.NoReply && !c.s.closed {
		c.s.fail(c.context(), c.id, c.def.Name, relay.Refusal(err))
	}
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
