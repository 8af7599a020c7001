package rooms

import (
	"cmp"
	"errors"
	"slices"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/shard/request"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/readmark"
)

// Send stores messages. Reply: wire.Sent, after they are stored.
func (s *Set) Send(cmd *wire.Send, reply string) {
	r, now := s.open(cmd.Room), s.cfg.Now()
	r.activeMs, r.idleFrom = uint64(now.UnixMilli()), now
	s.stopTyping(r, now, cmd.User)
	r.Room.Send(cmd, reply)
}

// History reads messages. Reply: wire.Messages.
func (s *Set) History(cmd *wire.History, reply string) {
	s.open(cmd.Room).History(cmd, reply)
}

// GetHistory is the rule of getHistory.
func (s *Set) GetHistory(req *request.Request, p *event.GetHistory) {
	q := p.Query()
	s.open(p.RoomID).Page(&q, req.MaxBytes, func(m *wire.Messages) {
		if err := m.Err(); err != nil {
			req.Refuse(err)
			return
		}
		req.Succeed(&event.History{RoomID: p.RoomID, Messages: m.Items, HasMore: m.More})
	})
}

// MessageRead is the rule of messageRead: the room is notified soon. The receipt is how far the
// user has read, on any device.
func (s *Set) MessageRead(req *request.Request, p *event.MessageRead) {
	r := s.open(p.RoomID)
	r.find(p.MessageID, func(seq uint64, err error) {
		if err != nil {
			req.Refuse(err)
			return
		}
		m := s.recordRead(r, readmark.Mark{
			User: req.User, MessageID: p.MessageID, Seq: seq, AtMs: uint64(s.cfg.Now().UnixMilli()),
		})
		req.Succeed(&event.MessageReadReply{ReadReceipt: event.ReadReceipt{
			MessageID: m.MessageID, UserID: m.User.ID, Username: m.User.Name, Seq: m.Seq, ReadAt: event.Time(m.AtMs),
		}})
	})
}

// find passes the seq of the message with that id to done, which runs once. The error
// is a *code.Error: NOT_FOUND, or UNAVAILABLE when the log cannot be read.
func (r *room) find(id string, done func(seq uint64, err error)) {
	seq, ok := event.SeqOf(id)
	if !ok {
		done(0, errNoSuchMessage())
		return
	}
	r.Message(seq, func(it wire.Item, err error) {
		switch {
		case err == nil && !sequencer.HasID(it.JSON, id), errors.Is(err, sequencer.ErrUnknown):
			err = errNoSuchMessage()
		case err != nil && code.Of(err) != code.Unavailable:
			err = code.New(code.Unavailable, "the message log is not available, try again")
		}
		done(seq, err)
	})
}

func errNoSuchMessage() *code.Error { return code.New(code.NotFound, "there is no such message") }

// recordRead records how far a user has read, schedules its broadcast, and returns how far the
// user has read. A large room keeps and broadcasts no marks.
func (s *Set) recordRead(r *room, m readmark.Mark) readmark.Mark {
	if r.members.Len() > MaxNamedMembers {
		return m
	}
	m = r.reads.Advance(m)
	if r.reads.Due() {
		s.ephemeralOf(r)
		s.pending[r] = struct{}{}
	}
	return m
}

// GetRoomStats is the rule of getRoomStats. The asker gets the event roomStats too.
func (s *Set) GetRoomStats(req *request.Request, p *event.GetRoomStats) {
	r := s.open(p.RoomID)
	r.WhenLoaded(func(err error) {
		if err != nil {
			req.Refuse(err)
			return
		}
		stats := s.roomStats(r)
		req.SucceedWith(&event.RoomStatsRetrieved{RoomStats: stats}, event.NameRoomStats, &stats)
	})
}

// maxHeads bounds one Heads command, so that the reply fits into a NATS message.
const maxHeads = 5000

// Heads replies with the heads of those rooms that have messages. Reply: wire.Digest.
func (s *Set) Heads(cmd *wire.Heads, reply string) {
	d := &wire.Digest{Epoch: s.cfg.Epoch}
	if len(cmd.Rooms) > maxHeads {
		d.Fault = wire.FaultOf(code.New(code.BadRequest, "more than %d rooms", maxHeads))
	}
	if d.Code != "" || len(cmd.Rooms) == 0 {
		s.cfg.Publisher.Publish(reply, d)
		return
	}
	left := len(cmd.Rooms)
	for _, id := range cmd.Rooms {
		r := s.open(id)
		r.WhenLoaded(func(err error) {
			if err != nil {
				d.Fault = wire.FaultOf(err)
			} else if r.Head() > 0 {
				d.Heads = append(d.Heads, wire.Head{Room: id, Seq: r.Head()})
			}
			if left--; left == 0 {
				s.cfg.Publisher.Publish(reply, d)
			}
		})
	}
}

// Report is a summary of a set.
type Report struct {
	Rooms   int // with members
	Typing  int
	Details []wire.RoomDetail // the most active rooms first
}

// Report returns counts, and details of at most the given number of rooms.
func (s *Set) Report(details int) Report {
	rep := Report{Rooms: s.occupied, Typing: s.typing}
	if details <= 0 {
		return rep
	}
	// Twice as many as wanted are kept at most, so that a large set need not be sorted.
	all := make([]wire.RoomDetail, 0, min(s.occupied, 2*details))
	keep := func() {
		slices.SortFunc(all, func(a, b wire.RoomDetail) int {
			return cmp.Or(cmp.Compare(b.LastActivityMs, a.LastActivityMs), cmp.Compare(a.RoomID, b.RoomID))
		})
		all = all[:min(details, len(all))]
	}
	for id, r := range s.rooms {
		if !r.counted {
			continue
		}
		if len(all) == 2*details {
			keep()
		}
		d := wire.RoomDetail{
			RoomID: id, UserCount: r.members.Len(),
			CreatedMs: int64(r.CreatedMs()), LastActivityMs: int64(r.activity()),
		}
		if r.ephemeral != nil {
			d.TypingUsers = r.ephemeral.typing.Len()
		}
		all = append(all, d)
	}
	keep()
	rep.Details = slices.Clip(all)
	return rep
}

// activity returns when something last happened in the room, in Unix milliseconds.
func (r *room) activity() uint64 { return max(r.activeMs, r.LastMs()) }
