package hub

import (
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// restFrom is the writing after which a loop rests: a quarter of less than that is too
// little for messages to gather, and less than the millisecond to which a loop sleeps.
const restFrom = 2 * time.Millisecond

// rest is what a loop does after it has written to many members in one turn, for a
// quarter of the time that it took: it lets messages gather. Without it busy rooms
// fall into step with their senders. What these say while one half of the messages in
// flight is written comes back when the other half is, and each member is given two
// short writes in place of a long one, at twice the price (ADR 0012). What comes after a
// longer quiet is not delayed. Owned by the loop.
type rest struct {
	local   *Local // static
	alarm   poll.Alarm
	stage   stage
	began   poll.Moment // of the writing
	waiting []*Part     // have something pending; in no order that matters
}

// stage is how far a loop has come from writing to the end of its rest.
type stage uint8

const (
	idle    stage = iota
	sending       // rooms are sent something
	writing       // all have been, and their connections are written to
)

// starts notes that a room is sent something. The first time in a turn, rest asks to
// be told when everything is written.
func (r *rest) starts() {
	if r.stage == idle {
		r.stage, r.began = sending, r.local.loop.Clock()
		r.local.loop.Defer(r)
	}
}

// Flush is called ahead of the connections to be written to, and then, since it asks
// once more, behind them.
func (r *rest) Flush() {
	loop := r.local.loop
	if r.stage == sending {
		r.stage = writing
		loop.Defer(r)
		return
	}
	r.stage = idle
	now := loop.Clock()
	if took := now - r.began; took >= poll.Moment(restFrom) {
		loop.ArmAt(&r.alarm, now+took/4)
	}
}

// Expire ends the rest.
func (r *rest) Expire() {
	for i, p := range r.waiting {
		r.waiting[i] = nil
		p.waits = false
		p.wake()
	}
	r.waiting = r.waiting[:0]
}
