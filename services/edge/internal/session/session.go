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
	// lostGrace is the delay before others are notified of a lost connection: a client
	// that can reconnect does so within that time.
	lostGrace = 2 * time.Second
	// drainGrace is the same for connections that this edge has asked to move.
	drainGrace = 30 * time.Second

	// abuseCount malformed messages within abuseWithin are abuse.
	abuseWithin = 10 * time.Second
	abuseCount  = 5
)

// Link is a session's connection; *conn.Conn is one.
type Link interface {
	hub.Outlet
	// ID is the connection's, for the log.
	ID() uint64
	// Queued is the number of bytes that wait to be written.
	Queued() int
	// NotifyDrained asks for one call of Session.Drained, when nothing waits any more.
	NotifyDrained()
	// PauseReads stops Session.Message until ResumeReads.
	PauseReads()
	ResumeReads()
}

// Session is one connection of a user, or a part of one. Its transport calls Opened or
// Restore, then Message, Heartbeat and Drained, then Closed. Owned by the connection's
// loop, and small: what an idle session does not need is behind pointers.
type Session struct {
	hub.Client       // its Outlet is a Link
	local            *local
	work             *work  // nil while nothing is in progress
	cold             *cold  // nil until needed
	expires          uint32 // of the token, unix seconds
	needsDefaultRoom bool   // it could not be joined yet
	closed           bool
}

// cold holds state that most sessions never need; allocated on first use.
type cold struct {
	expiry    poll.Timer  // of the token, see watchExpiry
	malformed []time.Time // when malformed messages came lately

	repeatsFrom time.Time // when the minute of repeats began
	repeats     int       // see repeatsPerMinute
}

// countRepeat counts a message that may be a repeat, and reports whether it may be looked up.
func (c *cold) countRepeat(now time.Time) bool {
	if now.Sub(c.repeatsFrom) >= time.Minute {
		c.repeatsFrom, c.repeats = now, 0
	}
	c.repeats++
	return c.repeats <= repeatsPerMinute
}

// New returns the session of an authenticated client; place is that of the protocol's
// codec.
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

// Opened starts the session on its connection.
func (s *Session) Opened(l Link) {
	s.open(l)
	s.joinDefaultRoom()
}

func (s *Session) open(l Link) {
	s.local.hub.Add(&s.Client, l)
	core := s.local.core
	core.Relay.UserOpened(&s.User, core.PerUser, func() {
		s.local.loop.Post(func() { l.Close(code.CloseConnectionLimit, "") })
	})
	s.watchExpiry()
}

// link is the session's connection, from Opened or Restore on. The hub has it.
func (s *Session) link() Link { return s.Outlet().(Link) }

// codec is the codec of the session's protocol.
func (s *Session) codec() codec.Codec { return s.local.core.Codecs[s.Codec] }

// coldState returns the session's cold state, which is allocated if need be.
func (s *Session) coldState() *cold {
	if s.cold == nil {
		s.cold = &cold{}
		s.cold.expiry.Owner = s
	}
	return s.cold
}

// Message handles one message of the client. Its bytes are not kept.
func (s *Session) Message(msg []byte) {
	req, err := s.codec().Decode(&s.local.reader, msg)
	if err != nil {
		s.malformed(req.ID, err)
		return
	}
	s.Dispatch(req)
}

// Heartbeat must be called each heartbeat interval.
func (s *Session) Heartbeat() {
	if s.local.core.Ping {
		s.local.hub.SendFrames(&s.Client, s.local.ping(s.Codec), conn.Reply)
	}
	if s.needsDefaultRoom {
		s.joinDefaultRoom()
	}
	s.watchExpiry()
}

// Drained must be called when nothing waits to be written any more, see
// Link.NotifyDrained.
func (s *Session) Drained() {
	if s.work != nil {
		s.work.resumeReplays()
	}
}

// Closed must be called when the connection has ended: the last call, once after Opened
// or Restore.
func (s *Session) Closed(cause conn.Cause) {
	s.closed = true
	if s.cold != nil {
		s.local.loop.Disarm(&s.cold.expiry)
	}
	grace := graceFor(cause)
	// Before the rooms are left: the user's last connection is lost in the rooms that it is in.
	s.local.core.Relay.UserClosed(s.User.ID, grace)
	for s.Rooms() > 0 {
		s.leaveRoom(s.RoomAt(0), grace)
	}
	if s.work != nil {
		s.work.abandon()
	}
	s.local.hub.Remove(&s.Client)
	s.local.core.Logger.Debug("connection closed", "event", "session.closed", "conn", s.link().ID(), "user", s.User.ID,
		"kind", cause.Kind.String(), "code", int(cause.Code))
}

// graceFor is how long others are not notified of a departure (the contract, 9 E).
func graceFor(cause conn.Cause) time.Duration {
	switch {
	case cause.Kind == conn.Clean:
		return 0
	case cause.Kind == conn.Ours && cause.Code == code.CloseRestart:
		return drainGrace
	}
	return lostGrace
}

// malformed replies to an undecodable message, and closes the connection after
// abuseCount of them within abuseWithin.
func (s *Session) malformed(id int64, err error) {
	if errors.Is(err, codec.ErrBroken) {
		s.link().Close(code.ClosePolicy, codec.ErrBroken.Error())
		return
	}
	refusal := code.New(code.BadRequest, "%s", err.Error())
	bad, isJSON := errors.AsType[*strictjson.Error](err)
	if isJSON && bad.Text || errors.Is(err, codec.ErrID) { // a bad text or id in a sound message is not abuse
		s.fail(context.Background(), id, "", refusal)
		return
	}
	now := s.local.loop.Now()
	state := s.coldState()
	recent := state.malformed[:0]
	for _, at := range state.malformed {
		if now.Sub(at) < abuseWithin {
			recent = append(recent, at)
		}
	}
	state.malformed = append(recent, now)
	s.fail(context.Background(), id, "", refusal)
	if len(state.malformed) >= abuseCount {
		s.link().Close(code.CloseProtocolAbuse, "")
	}
}

// reply answers a request with success.
func (s *Session) reply(id int64, name string, r event.Reply) {
	object := r.AppendJSON(s.local.buffer())
	s.replyObject(id, name, object)
	s.local.keepBuffer(object)
}

// replyObject answers a request with a reply object. The object is copied.
func (s *Session) replyObject(id int64, name string, object []byte) {
	s.Outlet().Send(s.codec().AppendReply(nil, id, name, object), conn.Reply)
}

// sendEvent sends a server event to this client alone. Its payload is copied.
func (s *Session) sendEvent(name string, payload []byte) {
	s.local.hub.SendEvent(&s.Client, name, payload, conn.Reply)
}

// fail answers a request with an error: as its reply, or as the error event if it has no
// id. ctx has its span, if it is traced.
func (s *Session) fail(ctx context.Context, id int64, name string, e *code.Error) {
	refusal := *e // the original may be shared
	refusal.Event, refusal.Ref = name, code.NewRef()
	s.local.countRefusal(e.Code)
	level, suppressed := s.local.refusals.level(s.local.loop.Now(), e.Code)
	if l := s.local.core.Logger; l.Enabled(ctx, level) {
		l.Log(ctx, level, "request refused", "event", "session.refused", "ref", refusal.Ref,
			"conn", s.link().ID(), "user", s.User.ID, "request", name, "err", e, "suppressed", suppressed)
	}
	object := event.AppendError(s.local.buffer(), &refusal, event.At(s.local.loop.Now()))
	if id == codec.NoID {
		s.sendEvent(event.NameError, object)
	} else {
		s.replyObject(id, event.NameError, object)
	}
	s.local.keepBuffer(object)
}
