package session

import (
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
)

// Restore is Open for a client whose earlier session is recovered: it joins its rooms,
// each from the message behind the one that the client has had last. It costs no
// permits. done runs on the loop, once: exact says that everything missed is there
// and on its way; otherwise some rooms may have been joined, and the session is of no
// use. It does not run when the session ends before.
func (s *Session) Restore(l Link, rooms []hub.Position, done func(exact bool)) {
	s.begun(l)
	left, failed := len(rooms), false
	if left == 0 {
		done(true)
		return
	}
	restored := func(exact bool) {
		left--
		if failed = failed || !exact; left == 0 {
			done(!failed)
		}
	}
	for _, r := range rooms {
		since := r.Seq
		s.begin(&command{
			s: s, id: codec.NoReply, room: r.Room, reply: event.NameJoinedRoom, at: time.Now(), restored: restored,
			run: func(c *command) { c.join(&since) },
		})
	}
}

// Mark notes what the client has been sent so far, for Restore.
func (s *Session) Mark() hub.DeliveryMark { return s.local.hub.DeliveryMark(&s.Client) }
