package session

import (
	"math"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
)

// refreshToken takes a newer token of the same user. Any other is an error and closes
// the connection: a client does not present another user's token by accident.
func (c *command) refreshToken() {
	s := c.s
	id, err := s.local.core.Verifier.Verify(c.payload.(*event.RefreshToken).Token)
	if err == nil && id.UserID != s.User.ID {
		err = code.New(code.Unauthorized, "the token is not valid")
	}
	if err != nil {
		c.fail(relay.Refusal(err))
		s.link().Close(code.CloseInvalidToken, "")
		return
	}
	s.expires = unixSeconds(id.Expires)
	s.watchExpiry()
	c.succeed(&event.TokenRefreshed{ExpiresAt: event.At(id.Expires)})
}

// watchExpiry arms the timer of the token's end, if that comes before the next
// heartbeat but one. Each heartbeat looks again, so that a session whose token is good
// for hours needs no timer.
func (s *Session) watchExpiry() {
	l := s.local.loop
	left := time.Duration(max(0, int64(s.expires)-l.Now().Unix())) * time.Second
	switch {
	case left <= 2*s.local.core.Heartbeat:
		l.Arm(&s.coldState().expiry, l.Tick()+l.Ticks(left))
	case s.cold != nil: // of an earlier token
		l.Disarm(&s.cold.expiry)
	}
}

// Expire implements poll.Expirer: the token's time may have come.
func (s *Session) Expire() {
	if s.local.loop.Now().Unix() >= int64(s.expires) {
		s.link().Close(code.CloseTokenExpired, "")
		return
	}
	s.watchExpiry()
}

// unixSeconds is the end of a token. What ends after the year 2105 ends then.
func unixSeconds(t time.Time) uint32 { return uint32(min(max(0, t.Unix()), math.MaxUint32)) }
