// Package policy maps actions to limits. The numbers are settings: shared/config has their
// defaults for each environment, and refuses unlimited users in production.
package policy

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// Resume is the limit of joins that resume a room, in every environment: a client that
// lost its connection rejoins all of its rooms at once, and a connection may be in 100.
const Resume = 100

// Limits holds permits per user and window; 0 means unlimited.
type Limits struct {
	Messages, Joins, Typing, Resume int
}

// Of returns the limit of an action; false if there is no such action.
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

// Config returns the limits as health shows them.
func (l *Limits) Config(window time.Duration) *wire.LimitConfig {
	return &wire.LimitConfig{
		WindowMs: window.Milliseconds(), Messages: l.Messages, Joins: l.Joins, Typing: l.Typing,
	}
}
