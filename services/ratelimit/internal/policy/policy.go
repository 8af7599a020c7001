// Package policy says which limit an action is counted against. The numbers are
// settings (protocol.md, section 6): shared/config knows their defaults in each
// environment, and refuses unlimited users in production.
package policy

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// Resume is the limit of joins that resume a room, in every environment: a client
// that lost its connection comes back to all of its rooms at once, and a
// connection may have 100 of them.
const Resume = 100

// Limits are permits per user and window; 0 is unlimited.
type Limits struct {
	Messages, Joins, Typing, Resume int
}

// Of is the limit of an action; false when there is no such action.
func (l *Limits) Of(a wire.Action) (int, bool) {
	switch a {
	case wire.ActionMessage:
		return l.Messages, true
	case wire.ActionJoin:
		return l.Joins, true
	case wire.ActionTyping:
		return l.Typing, true
	case wire.ActionResume:
		return l.Resume, true
	}
	return 0, false
}

// Config is what health shows of the limits.
func (l *Limits) Config(window time.Duration) *wire.LimitConfig {
	return &wire.LimitConfig{
		WindowMs: window.Milliseconds(), Messages: l.Messages, Joins: l.Joins, Typing: l.Typing,
	}
}
