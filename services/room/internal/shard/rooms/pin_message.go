package rooms

import (
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/room/internal/shard/request"
)

// PinMessage is the rule of pinMessage. Pins are not stored.
func (s *Set) PinMessage(req *request.Request, p *event.PinMessage) {
	r := s.open(p.RoomID)
	r.find(p.MessageID, func(seq uint64, err error) {
		if err != nil {
			req.Refuse(err)
			return
		}
		at := event.At(s.cfg.Now())
		req.Succeed(&event.MessagePinned{MessageID: p.MessageID, Seq: seq, PinnedAt: at})
		r.Broadcast(event.Broadcast(event.NamePinUpdate, &event.PinUpdate{
			RoomID: p.RoomID, UserID: req.User.ID, Username: req.User.Name,
			MessageID: p.MessageID, Seq: seq, PinnedAt: at,
		}))
	})
}
