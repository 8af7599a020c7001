package rooms

import (
	"cmp"
	"errors"
	"slices"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
)

// Send accepts a message. Reply: wire.Sent, when it is stored.
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

// Read notes that a user has read a message. Reply: wire.Receipt.
func (s *Set) Read(cmd *wire.Read, reply string) {
	seq, ok := event.SeqOf(cmd.MessageID)
	if !ok {
		s.cfg.Publisher.Publish(reply, &wire.Receipt{Fault: wire.FaultOf(errNoSuchMessage())})
		return
	}
	r := s.open(cmd.Room)
	user, id := cmd.User, cmd.MessageID
	r.Message(seq, func(it wire.Item, err error) {
		switch {
		case err == nil && !sequencer.HasID(it.JSON, id), errors.Is(err, sequencer.ErrUnknown):
			err = errNoSuchMessage()
		case err != nil && code.Of(err) != code.Unavailable:
			err = code.New(code.Unavailable, "the message log is not available, try again")
		}
		if err != nil {
			s.cfg.Publisher.Publish(reply, &wire.Receipt{Fault: wire.FaultOf(err)})
			return
		}
		m := readMark{user, id, seq, uint64(s.cfg.Now().UnixMilli())}
		s.cfg.Publisher.Publish(reply, &wire.Receipt{Seq: seq, AtMs: m.atMs})
		s.recordRead(r, m)
	})
}

func errNoSuchMessage() *code.Error { return code.New(code.NotFound, "there is no such message") }

// mark lets the room know soon how far a user has read.
func (s *Set) recordRead(r *room, m readMark) {
	if r.members.Len() > MaxNamedMembers {
		return
	}
	c := s.ephemeralOf(r)
	if old, ok := c.reads[m.user.ID]; ok && old.seq > m.seq {
		return
	}
	if c.reads == nil {
		c.reads = make(map[string]readMark)
	}
	c.reads[m.user.ID] = m
	s.pending[r] = struct{}{}
}

// Stats answers with a room's statistics. Reply: wire.Stats.
func (s *Set) Stats(cmd *wire.RoomStats, reply string) {
	r := s.open(cmd.Room)
	r.WhenLoaded(func(err error) {
		if err != nil {
			s.cfg.Publisher.Publish(reply, &wire.Stats{Fault: wire.FaultOf(err)})
			return
		}
		s.cfg.Publisher.Publish(reply, &wire.Stats{JSON: s.roomStats(r)})
	})
}

// maxHeads bounds one Heads command: what fits into its reply.
const maxHeads = 5000

// Heads answers with the heads of rooms that the log knows. Reply: wire.Digest.
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

// Report is what a shard tells of itself.
type Report struct {
	Rooms   int // with members
	Typing  int
	Details []wire.RoomDetail // the most active rooms first
}

// Report counts, and lists at most the given number of rooms.
func (s *Set) Report(details int) Report {
	rep := Report{Rooms: s.occupied, Typing: s.typing}
	if details <= 0 {
		return rep
	}
	all := make([]wire.RoomDetail, 0, s.occupied)
	for id, r := range s.rooms {
		if !r.counted {
			continue
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
	slices.SortFunc(all, func(a, b wire.RoomDetail) int {
		return cmp.Or(cmp.Compare(b.LastActivityMs, a.LastActivityMs), cmp.Compare(a.RoomID, b.RoomID))
	})
	rep.Details = slices.Clip(all[:min(details, len(all))])
	return rep
}

// activity is when something happened in the room last, unix milliseconds.
func (r *room) activity() uint64 { return max(r.activeMs, r.LastMs()) }
