// Package users owns the presence of one shard's users: it executes commands and publishes
// what others must be notified of. Everything runs on the shard's goroutine.
package users

import (
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/services/room/internal/shard/ledger"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/request"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
)

// MaxGet is the maximum number of users in one UserGet and its reply.
const MaxGet = 100

// Config is what a set needs. Everything is required; the zero Scope is ScopeAll.
type Config struct {
	Shard     int
	Epoch     uint64
	Scope     presence.Scope
	Publisher *publisher.Publisher
	Now       func() time.Time
	Edges     *liveness.Table
	Journal   rooms.Journal
}

// Set is the users of one shard. Its methods must be called on the shard's goroutine.
type Set struct {
	cfg      Config
	presence *presence.Set
	holders  liveness.Holders
}

// New returns a set of which nothing is known yet.
func New(cfg Config) *Set {
	s := &Set{cfg: cfg, presence: presence.New(cfg.Scope), holders: liveness.NewHolders(cfg.Edges)}
	s.presence.Changed = func(u wire.User, state membership.State, rooms []string) {
		cfg.Journal.Store(ledger.NewHolding("", u, state, rooms))
	}
	return s
}

// Up reports that an edge holds connections of a user. Reply: wire.Done.
func (s *Set) Up(cmd *wire.UserUp, reply string) {
	now, e := s.cfg.Now(), membership.Edge{ID: cmd.Edge, Gen: cmd.Gen}
	s.holders.Add(now, e)
	events := s.presence.Up(now, e, cmd.User, cmd.Rooms)
	s.cfg.Publisher.Publish(reply, &wire.Done{})
	s.announce(now, events)
}

// Down reports that the last connection of a user on an edge has closed. Reply: wire.Done.
func (s *Set) Down(cmd *wire.UserDown, reply string) {
	now := s.cfg.Now()
	grace := time.Duration(cmd.GraceMs) * time.Millisecond
	events := s.presence.Down(now, membership.Edge{ID: cmd.Edge, Gen: cmd.Gen}, cmd.User, grace)
	s.cfg.Publisher.Publish(reply, &wire.Done{})
	s.announce(now, events)
}

// UpdatePresence is the rule of updatePresence.
func (s *Set) UpdatePresence(req *request.Request, p *event.UpdatePresence) {
	now := s.cfg.Now()
	events, err := s.presence.SetStatus(now, req.User, p.Status, p.CustomStatus)
	if err != nil {
		req.Refuse(code.New(code.Unavailable, "your presence is not known yet, try again"))
		return
	}
	req.Succeed(&event.PresenceUpdated{Status: p.Status, CustomStatus: p.CustomStatus, Timestamp: event.At(now)})
	s.announce(now, events)
}

// Get replies with the presence of users. Reply: wire.Presences.
func (s *Set) Get(cmd *wire.UserGet, reply string) {
	now, out := s.cfg.Now(), wire.Presences{}
	switch {
	case len(cmd.Users) > MaxGet:
		out.Fault = wire.FaultOf(code.New(code.BadRequest, "more than %d users", MaxGet))
	case len(cmd.Users) > 0:
		out.Users = s.presence.Get(now, cmd.Users)
	default:
		out.Users = s.presence.Online(now, int(min(cmd.Limit, MaxGet)))
	}
	s.cfg.Publisher.Publish(reply, &out)
}

// Held returns the sum of what e holds here.
func (s *Set) Held(e membership.Edge) wire.Sum { return s.presence.Held(e) }

// Replace makes an edge's snapshot the truth about this shard's users on the edge: ups, and
// those of the users opening that are known here. With announce, who is new here is announced.
func (s *Set) Replace(e membership.Edge, ups []wire.UserUp, opening []string, announce bool) {
	now := s.cfg.Now()
	s.holders.Add(now, e)
	held := make(map[string]bool, len(ups)+len(opening))
	for _, id := range opening {
		held[id] = true
	}
	for _, up := range ups {
		held[up.User.ID] = true
		if announce {
			s.announce(now, s.presence.Up(now, e, up.User, up.Rooms))
		} else {
			s.presence.UpSilently(now, e, up.User, up.Rooms)
		}
	}
	s.announce(now, s.presence.DownUnless(now, e, liveness.LeftGrace, func(user string) bool { return held[user] }))
}

// Tick does what is due at now.
func (s *Set) Tick(now time.Time) {
	s.announce(now, s.presence.Expire(now))
	s.holders.CheckEdges(now, func(e membership.Edge, grace time.Duration) {
		s.announce(now, s.presence.LoseEdge(now, e, grace))
	})
}

// Online returns the number of users who are online.
func (s *Set) Online() int { return s.presence.OnlineCount() }
