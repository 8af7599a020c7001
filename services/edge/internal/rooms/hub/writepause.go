package hub

import (
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// minWriting is the shortest writing that a loop pauses after. A quarter of less is too
// short for messages to gather, and below the millisecond that timers resolve.
const minWriting = 2 * time.Millisecond

// writePause stops a loop from writing for a quarter of the time that its last writing
// to many members took, so that messages gather. Without it, busy rooms fall into step
// with their senders: the answers to one half of the messages in flight arrive while
// the other half is written, and each member gets two short writes instead of a long
// one, at twice the price (ADR 0012). What arrives after a longer quiet is not delayed.
// Owned by the loop.
type writePause struct {
	local   *Local // static
	timer   poll.PreciseTimer
	stage   stage
	began   time.Duration // of the writing
	waiting []*LocalRoom  // have something pending, in no particular order
}

// stage is how far a loop is within one turn's writing.
type stage uint8

const (
	idle    stage = iota
	sending       // rooms queue frames on their members' connections
	writing       // all rooms have; now the connections write
)

// noteSending notes that a room queues frames. The first time in a turn it registers for
// the end of the writing.
func (w *writePause) noteSending() {
	if w.stage == idle {
		w.stage, w.began = sending, w.local.loop.UptimeNow()
		w.local.loop.Defer(w)
	}
}

// Flush is called before the connections write and, because it defers itself once more,
// after they have written.
func (w *writePause) Flush() {
	loop := w.local.loop
	if w.stage == sending {
		w.stage = writing
		loop.Defer(w)
		return
	}
	w.stage = idle
	now := loop.UptimeNow()
	if took := now - w.began; took >= minWriting {
		loop.ArmPrecise(&w.timer, now+took/4)
	}
}

// Expire ends the pause.
func (w *writePause) Expire() {
	for i, r := range w.waiting {
		w.waiting[i] = nil
		r.paused = false
		r.deferFlush()
	}
	w.waiting = w.waiting[:0]
}
