package hub

import "github.com/confab-chat/confab/services/edge/internal/poll"

// restFrom is the number of members on one loop from which on a room rests: writing to
// fewer takes less than the millisecond to which a loop sleeps.
const restFrom = 256

// rest is what a big room does after each delivery, for a quarter of the time that the
// writing took: it lets messages gather. Without it a busy room falls into step with
// its senders: what they say while one half of the messages in flight is written comes
// back when the other half is, and each member is given two short writes in place of
// a long one, at twice the price (ADR 0012). A room that has been quiet for longer
// is not delayed. Owned by the loop.
type rest struct {
	part  *Part // static
	alarm poll.Alarm
	began poll.Moment // of the writing
	on    bool        // from before the writing until the alarm
}

// rests tells whether what is pending has to wait.
func (p *Part) rests() bool { return p.rest != nil && p.rest.on }

// beginRest is called when everybody has been sent something, which the loop writes
// before what is deferred now.
func (p *Part) beginRest(began poll.Moment) {
	if p.rest == nil {
		p.rest = &rest{part: p}
		p.rest.alarm.Owner = p.rest
	}
	p.rest.on, p.rest.began = true, began
	p.local.loop.Defer(p.rest)
}

// Flush is called when the writing is done.
func (r *rest) Flush() {
	loop := r.part.local.loop
	now := loop.Clock()
	loop.ArmAt(&r.alarm, now+(now-r.began)/4)
}

// Expire ends the rest.
func (r *rest) Expire() {
	r.on = false
	if len(r.part.pending) > 0 {
		r.part.wake()
	}
}
