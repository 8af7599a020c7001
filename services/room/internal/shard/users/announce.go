package users

import (
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
)

// announce publishes events to the users they concern, after what they follow from is stored.
func (s *Set) announce(now time.Time, events []presence.Event) {
	for _, e := range events {
		n := wire.News{Kind: wire.NewsOnline, User: e.User, Rooms: e.Rooms, Known: e.Known}
		switch e.Kind {
		case presence.Update:
			s.cfg.Journal.Then(func() { s.publishUpdate(&e, now) })
			continue
		case presence.Offline:
			n.Kind = wire.NewsOffline
		}
		s.cfg.Journal.Announce(n, max(1, len(e.Rooms)), func(number uint64) { s.publish(&e, now, number) })
	}
}

// Repeat publishes news of an earlier owner, which may not have done it.
func (s *Set) Repeat(n *wire.News) {
	e := presence.Event{Kind: presence.Online, User: n.User, Rooms: n.Rooms, Known: n.Known}
	if n.Kind == wire.NewsOffline {
		e.Kind = presence.Offline
	}
	s.publish(&e, s.cfg.Now(), n.Number)
}

// publish publishes e to others. number is that of its first broadcast; 0: not numbered.
func (s *Set) publish(e *presence.Event, now time.Time, number uint64) {
	b := encodeEvent(e, now)
	if s.cfg.Scope == presence.ScopeAll {
		b.Epoch, b.Except, b.Number = s.cfg.Epoch, e.User.ID, number
		s.cfg.Publisher.Publish(subject.UserBroadcast(s.cfg.Shard), b)
		return
	}
	s.publishToRooms(e, b, number)
}

// publishUpdate publishes a new status, also to the user's own connections.
func (s *Set) publishUpdate(e *presence.Event, now time.Time) {
	s.publish(e, now, 0)
	b := encodeEvent(e, now)
	b.Epoch, b.Only = s.cfg.Epoch, e.User.ID
	s.cfg.Publisher.Publish(subject.UserBroadcast(s.cfg.Shard), b)
}

// publishToRooms sends one copy to each room that must be notified. With the list of rooms in
// it, an edge skips members of the earlier ones. The epoch is not set: it is the epoch of the
// user's shard, and edges compare epochs of the room's shard.
func (s *Set) publishToRooms(e *presence.Event, b *wire.Broadcast, number uint64) {
	b.Except = e.User.ID
	b.Rooms = append(append(make([]string, 0, len(e.Known)+len(e.Rooms)), e.Known...), e.Rooms...)
	for i, room := range e.Rooms {
		token := subject.Token(room)
		b.Room = room
		if number > 0 {
			b.Number = number + uint64(i)
		}
		s.cfg.Publisher.Publish(subject.RoomBroadcast(subject.ShardOf(token), token), b)
	}
}

// encodeEvent encodes an event for clients.
func encodeEvent(e *presence.Event, now time.Time) *wire.Broadcast {
	change := event.OnlineChange{UserID: e.User.ID, Username: e.User.Name, Timestamp: event.At(now)}
	switch e.Kind {
	case presence.Online:
		return event.Broadcast(event.NameUserOnline, &change)
	case presence.Offline:
		return event.Broadcast(event.NameUserOffline, &change)
	}
	return event.Broadcast(event.NamePresenceUpdate, &event.PresenceUpdate{
		UserID: e.User.ID, Username: e.User.Name,
		Status: e.Status, CustomStatus: e.Custom, Timestamp: event.At(now),
	})
}
