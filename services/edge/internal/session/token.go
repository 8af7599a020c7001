package session

import (
	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/edge/internal/relay"
)

// heartbeat is answered at once, whatever else is open.
func heartbeat(c *command, _ []byte) error {
	c.run = func(c *command) {
		c.succeed(&event.HeartbeatResponse{Timestamp: c.s.now(), UserID: c.s.User})
	}
	return nil
}

// refreshToken takes a newer token of the same user. Any other is an error, and the
// end: whoever presents somebody else's token does not do so by accident.
func refreshToken(c *command, data []byte) error {
	var p event.RefreshToken
	if err := p.Decode(data); err != nil {
		return err
	}
	c.run = func(c *command) {
		s := c.s
		id, err := s.local.core.Verifier.Verify(p.Token)
		if err == nil && id.UserID != s.User {
			err = code.New(code.Unauthorized, "the token is not valid")
		}
		if err != nil {
			c.fail(relay.Refusal(err))
			s.conn.Close(code.CloseInvalidToken, "")
			return
		}
		s.expires = id.Expires.Unix()
		s.armExpiry()
		c.succeed(&event.TokenRefreshed{ExpiresAt: event.At(id.Expires)})
	}
	return nil
}
