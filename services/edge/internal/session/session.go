package session

import (
	"context"
	"errors"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/strictjson"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

const (
	// lostGrace is for how long a lost connection is not told to others: the
	// client comes back in that time if it can.
	lostGrace = 2 * time.Second
	// drainGrace is the same for connections that this edge has asked to move.
	drainGrace = 30 * time.Second

	// abuseWithin and abuseCount: so many broken messages in that time are abuse.
	abuseWithin = 10 * time.Second
	abuseCount  = 5
)

// Link is what a session has of its connection; *conn.Conn is one.
type Link interface {
	hub.Outlet
	// ID is the connection's, for the log.
	ID() uint64
	// Queued is the number of bytes that wait to be written.
	Queued() int
	// NotifyDrained asks for one call of Session.Emptied, when nothing waits any more.
	NotifyDrained()
	// PauseReads stops Receive until ResumeReads.
	PauseReads()
	ResumeReads()
}

// Session is one connection of a user, or a part of one. Its door calls Open or
// Restore, Receive, Beat, Emptied and End. Owned by the connection's loop, and small:
// what an idle one does not need is behind pointers.
type Session struct {
	hub.Client // its Outlet is a Link
	local      *local
	work       *work   // nil while nothing is asked and nothing is replayed
	seldom     *seldom // nil until needed
	expires    uint32  // of the token, unix seconds
	homeless   bool    // the default room could not be joined yet
	closed     bool
}

// seldom is what few sessions ever have.
type seldom struct {
	expiry poll.Timer  // of the token, see watchExpiry
	broken []time.Time // when broken messages came lately
}

// New returns the session of a client that has been let in; place is that of the
// door's codec.
func (c *Core) New(l *poll.Loop, id auth.Identity, place uint8) *Session {
	s := c.session(l, id, place)
	return &s
}

func (c *Core) session(l *poll.Loop, id auth.Identity, place uint8) Session {
	return Session{
		Client: hub.Client{User: wire.User{ID: id.UserID, Name: id.Username}, Codec: place},
		local:  c.locals[l.Index()], expires: unixSeconds(id.Expires),
	}
}

// Open begins the session on its connection.
func (s *Session) Open(l Link) {
	s.begun(l)
	s.joinDefault()
}

func (s *Session) begun(l Link) {
	s.local.hub.Add(&s.Client, l)
	core := s.local.core
	core.Relay.UserOpened(&s.User, core.PerUser, func() {
		s.local.loop.Post(func() { l.Close(code.CloseConnectionLimit, "") })
	})
	s.watchExpiry()
}

// link is the session's side of its connection, from Open or Restore on. The hub has it.
func (s *Session) link() Link { return s.Outlet().(Link) }

// codec is the language of the door.
func (s *Session) codec() codec.Codec { return s.local.core.Codecs[s.Codec] }

// rare returns what few sessions have, for one that needs it.
func (s *Session) rare() *seldom {
	if s.seldom == nil {
		s.seldom = &seldom{}
		s.seldom.expiry.Owner = s
	}
	return s.seldom
}

// Receive takes one message of the client. Its bytes are not kept.
func (s *Session) Receive(msg []byte) {
	req, err := s.codec().Decode(&s.local.reader, msg)
	if err != nil {
		s.malformed(req.ID, err)
		return
	}
	s.Dispatch(req)
}

// Beat comes each heartbeat interval.
func (s *Session) Beat() {
	if s.local.core.Ping {
		s.local.hub.SendFrames(&s.Client, s.local.ping(s.Codec), conn.Reply)
	}
	if s.homeless {
		s.joinDefault()
	}
	s.watchExpiry()
}

// Emptied says that nothing waits to be written any more, see Link.NotifyDrained.
func (s *Session) Emptied() {
	if s.work != nil {
		s.work.drained()
	}
}

// End says that the connection has ended: the last call, once after Open.
func (s *Session) End(cause conn.Cause) {
	s.closed = true
	if s.seldom != nil {
		s.local.loop.Disarm(&s.seldom.expiry)
	}
	grace := graceFor(cause)
	for s.Rooms() > 0 {
		s.leave(s.RoomAt(0), grace)
	}
	if s.work != nil {
		s.work.end()
	}
	s.local.hub.Remove(&s.Client)
	s.local.core.Relay.UserClosed(s.User.ID, grace)
	s.local.core.Logger.Debug("connection closed", "event", "session.closed", "conn", s.link().ID(), "user", s.User.ID,
		"kind", cause.Kind.String(), "code", int(cause.Code))
}

// graceFor is how long others are not told of a departure (the contract, 9 E).
func graceFor(cause conn.Cause) time.Duration {
	switch {
	case cause.Kind == conn.Clean:
		return 0
	case cause.Kind == conn.Ours && cause.Code == code.CloseRestart:
		return drainGrace
	}
	return lostGrace
}

// malformed answers a message that is no request; who sends many is shown the door.
func (s *Session) malformed(id int64, err error) {
	if errors.Is(err, codec.ErrBroken) {
		s.link().Close(code.ClosePolicy, codec.ErrBroken.Error())
		return
	}
	refusal := code.New(code.BadRequest, "%s", err.Error())
	if bad, ok := errors.AsType[*strictjson.Error](err); ok && bad.Text {
		s.fail(context.Background(), id, "", refusal) // a wrong text is no broken frame
		return
	}
	now := s.local.loop.Now()
	rare := s.rare()
	recent := rare.broken[:0]
	for _, at := range rare.broken {
		if now.Sub(at) < abuseWithin {
			recent = append(recent, at)
		}
	}
	rare.broken = append(recent, now)
	s.fail(context.Background(), id, "", refusal)
	if len(rare.broken) >= abuseCount {
		s.link().Close(code.CloseProtocolAbuse, "")
	}
}

// reply answers a request.
func (s *Session) reply(id int64, name string, r event.Reply) {
	s.replyObject(id, name, r.AppendJSON(s.local.object()))
}

// replyObject answers a request with an object that was made in local.object.
func (s *Session) replyObject(id int64, name string, object []byte) {
	s.Outlet().Send(s.codec().AppendReply(nil, id, name, object), conn.Reply)
	s.local.giveBack(object)
}

// tell says something to this client alone.
func (s *Session) tell(name string, data []byte) {
	s.local.hub.SendEvent(&s.Client, name, data, conn.Reply)
}

// fail refuses a request: as its reply, or as the error event if it has no id. ctx
// has its span, if it is traced.
func (s *Session) fail(ctx context.Context, id int64, name string, e *code.Error) {
	refusal := *e // the original may be shared
	refusal.Event, refusal.Ref = name, code.NewRef()
	s.local.refuse(e.Code)
	level, unsaid := s.local.refusals.level(s.local.loop.Now(), e.Code)
	if l := s.local.core.Logger; l.Enabled(ctx, level) {
		l.Log(ctx, level, "request refused", "event", "session.refused", "ref", refusal.Ref,
			"conn", s.link().ID(), "user", s.User.ID, "request", name, "err", e, "suppressed", unsaid)
	}
	object := event.AppendError(s.local.object(), &refusal, event.At(s.local.loop.Now()))
	if id == codec.NoID {
		s.tell(event.NameError, object)
		s.local.giveBack(object)
		return
	}
	s.replyObject(id, event.NameError, object)
}
