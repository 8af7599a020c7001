// Package users owns the presence of one shard's users: it turns commands into
// what others must hear. Everything happens on the shard's goroutine.
package users

import (
	"errors"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
)

// MaxGet is the most users one UserGet may ask for, and gets.
const MaxGet = 100

// Config is what a shard needs. Everything is required but the zero Scope.
type Config struct {
	Shard int
	Epoch uint64
	Scope presence.Scope
	Bus   *publisher.Bus
	Now   func() time.Time
	Edges *liveness.Table
}

// Shard is the presence of the users of one shard. All methods belong to its
// goroutine.
type Shard struct {
	cfg     Config
	users   *presence.Shard
	holders liveness.Holders
	begun   time.Time
}

// NewShard returns a shard of which nothing is known.
func NewShard(cfg Config) *Shard {
	return &Shard{cfg: cfg, users: presence.New(cfg.Scope), holders: liveness.NewHolders(cfg.Edges), begun: cfg.Now()}
}

// Up says that an edge holds connections of a user. Reply: wire.Done.
func (s *Shard) Up(cmd *wire.UserUp, reply string) {
	now, e := s.cfg.Now(), membership.Edge{ID: cmd.Edge, Gen: cmd.Gen}
	s.holders.Add(now, e)
	events := s.users.Up(now, e, cmd.User, cmd.Rooms)
	s.cfg.Bus.Publish(reply, &wire.Done{})
	if cmd.Again && now.Sub(s.begun) < liveness.Youth {
		return // nobody has been told that the user is gone
	}
	s.tell(now, events)
}

// Down says that the last connection of a user on an edge has closed. Reply: wire.Done.
func (s *Shard) Down(cmd *wire.UserDown, reply string) {
	now := s.cfg.Now()
	grace := time.Duration(cmd.GraceMs) * time.Millisecond
	events := s.users.Down(now, membership.Edge{ID: cmd.Edge, Gen: cmd.Gen}, cmd.User, grace)
	s.cfg.Bus.Publish(reply, &wire.Done{})
	s.tell(now, events)
}

// Status sets what a user says of themselves. Reply: wire.Done.
func (s *Shard) Status(cmd *wire.UserStatus, reply string) {
	now := s.cfg.Now()
	events, err := s.users.SetStatus(now, cmd.User, cmd.Status, cmd.Custom)
	switch {
	case errors.Is(err, presence.ErrStatus):
		err = code.New(code.BadRequest, "status must be online, away or busy")
	case err != nil:
		err = code.New(code.Unavailable, "your presence is not known yet, try again")
	}
	s.cfg.Bus.Publish(reply, &wire.Done{Fault: wire.FaultOf(err)})
	s.tell(now, events)
}

// Get answers what is known of users. Reply: wire.Presences.
func (s *Shard) Get(cmd *wire.UserGet, reply string) {
	now, out := s.cfg.Now(), wire.Presences{}
	switch {
	case len(cmd.Users) > MaxGet:
		out.Fault = wire.FaultOf(code.New(code.BadRequest, "more than %d users", MaxGet))
	case len(cmd.Users) > 0:
		out.Users = s.users.Get(now, cmd.Users)
	default:
		out.Users = s.users.Online(now, int(min(cmd.Limit, MaxGet)))
	}
	s.cfg.Bus.Publish(reply, &out)
}

// Restore takes what an edge's snapshot says of this shard's users; with announce
// it is told to others like news, else it is not.
func (s *Shard) Restore(e membership.Edge, ups []wire.UserUp, announce bool) {
	now := s.cfg.Now()
	s.holders.Add(now, e)
	if !announce {
		s.users.Restore(now, e, ups)
		return
	}
	for _, up := range ups {
		s.tell(now, s.users.Up(now, e, up.User, up.Rooms))
	}
}

// Tick does what is due at now; back tells that an edge that was given up lives
// after all, so that its snapshot is needed.
func (s *Shard) Tick(now time.Time) (back bool) {
	s.tell(now, s.users.Expire(now))
	return s.holders.Watch(now, func(e membership.Edge, grace time.Duration) {
		s.tell(now, s.users.LoseEdge(now, e, grace))
	})
}

// Online is the number of users who are online.
func (s *Shard) Online() int { return s.users.OnlineCount() }

// tell publishes events to whom they concern.
func (s *Shard) tell(now time.Time, events []presence.Event) {
	for i := range events {
		e := &events[i]
		b := encode(e, now)
		if s.cfg.Scope == presence.ScopeAll {
			b.Epoch, b.Except = s.cfg.Epoch, e.User.ID
			s.cfg.Bus.Publish(subject.UserBroadcast(s.cfg.Shard), b)
		} else {
			s.tellRooms(e, b)
		}
		if e.Kind == presence.Update {
			b.Epoch, b.Room, b.Rooms, b.Except, b.Only = s.cfg.Epoch, "", nil, "", e.User.ID
			s.cfg.Bus.Publish(subject.UserBroadcast(s.cfg.Shard), b)
		}
	}
}

// tellRooms sends one copy to each room that must hear. The list in it lets an
// edge leave out who is in an earlier room of it. The epoch is not told: it is one
// of the user's shard, and edges compare those of the room's.
func (s *Shard) tellRooms(e *presence.Event, b *wire.Broadcast) {
	b.Except = e.User.ID
	b.Rooms = append(append(make([]string, 0, len(e.Known)+len(e.Rooms)), e.Known...), e.Rooms...)
	for _, room := range e.Rooms {
		token := subject.Token(room)
		b.Room = room
		s.cfg.Bus.Publish(subject.RoomBroadcast(subject.ShardOf(token), token), b)
	}
}

// encode is the event as clients see it.
func encode(e *presence.Event, now time.Time) *wire.Broadcast {
	b := &wire.Broadcast{Class: wire.ClassPresence}
	change := event.OnlineChange{UserID: e.User.ID, Username: e.User.Name, Timestamp: event.At(now)}
	switch e.Kind {
	case presence.Online:
		b.Event, b.Data = event.NameUserOnline, change.AppendJSON(nil)
	case presence.Offline:
		b.Event, b.Data = event.NameUserOffline, change.AppendJSON(nil)
	default:
		u := event.PresenceUpdate{
			UserID: e.User.ID, Username: e.User.Name,
			Status: e.Status, CustomStatus: e.Custom, Timestamp: event.At(now),
		}
		b.Event, b.Data = event.NamePresenceUpdate, u.AppendJSON(nil)
	}
	return b
}
