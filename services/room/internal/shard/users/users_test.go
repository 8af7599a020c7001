package users_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/services/room/internal/shard/ledger/ledgertest"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
	"github.com/confab-chat/confab/services/room/internal/shard/users"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
)

// scene is a shard of users and what it says.
type scene struct {
	*users.Set
	t     *testing.T
	now   time.Time
	edges *liveness.Table
	said  []string // subject, event
	last  *wire.Broadcast
}

func newScene(t *testing.T, scope presence.Scope) *scene {
	s := &scene{t: t, now: time.UnixMilli(1_800_000_000_000), edges: liveness.NewTable()}
	s.Set = users.New(users.Config{
		Shard: 3, Epoch: 9, Scope: scope, Publisher: publisher.New(s, slog.New(slog.DiscardHandler)),
		Now: func() time.Time { return s.now }, Edges: s.edges, Journal: new(ledgertest.Journal),
	})
	return s
}

// Publish implements publisher.Publisher.
func (s *scene) Publish(subj string, data []byte) error {
	s.last = new(wire.Broadcast)
	if subj == "reply" {
		return nil
	}
	if err := wire.Unmarshal(data, s.last); err != nil {
		s.t.Error(err)
	}
	s.said = append(s.said, subj+" "+s.last.Event)
	return nil
}

func (s *scene) hears(want ...string) {
	s.t.Helper()
	if !slices.Equal(s.said, want) {
		s.t.Errorf("said %q, want %q", s.said, want)
	}
	s.said = nil
}

// pass lets time pass; alive edges beat.
func (s *scene) pass(d time.Duration, alive ...string) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(250 * time.Millisecond)
		for _, e := range alive {
			s.edges.Observe(s.now, &wire.Heartbeat{Instance: e, Gen: 1, State: wire.StateOK})
		}
		s.Tick(s.now)
	}
}

var (
	ann = wire.User{ID: "ann", Name: "Ann"}
	e1  = wire.Origin{Edge: "e1", Gen: 1}
	all = subject.UserBroadcast(3)
)

func TestDeadEdge(t *testing.T) {
	t.Parallel()
	s := newScene(t, presence.ScopeAll)
	s.Up(&wire.UserUp{Origin: e1, User: ann}, "reply")
	s.hears(all + " " + event.NameUserOnline)
	s.pass(20*time.Second, "e1")
	s.hears()
	s.pass(liveness.Silence + liveness.DeadGrace - time.Second)
	s.hears()
	s.pass(2 * time.Second)
	s.hears(all + " " + event.NameUserOffline)
	if s.Online() != 0 {
		t.Errorf("%d online", s.Online())
	}
	// It lives after all: what it holds is news.
	s.pass(time.Second, "e1")
	s.Replace(membership.Edge{ID: "e1", Gen: 1}, []wire.UserUp{{User: ann}}, nil, true)
	s.hears(all + " " + event.NameUserOnline)
}

func TestRestoreIsSilent(t *testing.T) {
	t.Parallel()
	s := newScene(t, presence.ScopeRooms)
	s.Replace(membership.Edge{ID: "e1", Gen: 1}, []wire.UserUp{{User: ann, Rooms: []string{"a", "b/c"}}}, nil, false)
	s.hears()
	if s.Online() != 1 {
		t.Errorf("%d online", s.Online())
	}
	s.Down(&wire.UserDown{Origin: e1, User: "ann", GraceMs: 2000}, "reply")
	s.hears()
	s.pass(3*time.Second, "e1")
	var want []string
	for _, room := range []string{"a", "b/c"} {
		token := subject.Token(room)
		want = append(want, subject.RoomBroadcast(subject.ShardOf(token), token)+" "+event.NameUserOffline)
	}
	s.hears(want...)
	if s.last.Room != "b/c" || s.last.Epoch != 0 || !slices.Equal(s.last.Rooms, []string{"a", "b/c"}) {
		t.Errorf("the copy of the second room: %+v", s.last)
	}
}
