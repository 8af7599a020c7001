package rooms_test

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logtest"
	"github.com/confab-chat/confab/services/room/internal/shard/ledger/ledgertest"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/request"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms"
	"github.com/confab-chat/confab/services/room/internal/stats"
)

// scene is a shard, its log, and what it says. Its clock is the world's.
type scene struct {
	*testing.T
	*rooms.Set
	world *logtest.World
	edges *liveness.Table
	count *stats.Counters

	publisher *publisher.Publisher
	age       time.Duration // of the messages that new owners keep

	replies map[string][]byte
	casts   []*wire.Broadcast // since the last look
	digests []*wire.Digest
}

const (
	sweepEvery = time.Minute
	idleAfter  = 10 * time.Minute
	maxAge     = 24 * time.Hour
)

func newScene(t *testing.T) *scene {
	s := &scene{
		T: t, world: logtest.New(), edges: liveness.NewTable(),
		count: stats.New(slog.New(slog.DiscardHandler)), replies: map[string][]byte{}, age: maxAge,
	}
	s.takeOver(1)
	return s
}

// takeOver makes a new owner, which knows nothing.
func (s *scene) takeOver(owner int) {
	s.publisher = publisher.New(s, slog.New(slog.DiscardHandler))
	s.Set = rooms.New(rooms.Config{
		Shard: 0, Epoch: uint64(owner), Streams: 1,
		Log: &logtest.Log{World: s.world, Owner: owner}, Publisher: s.publisher,
		Now: func() time.Time { return s.world.Now }, Logger: slog.New(slog.DiscardHandler),
		Counters: s.count, Edges: s.edges, Journal: new(ledgertest.Journal), SweepEvery: sweepEvery, IdleAfter: idleAfter,
		Keep: sequencer.Retention{MaxAge: s.age, MaxMessages: 5000},
	})
}

// Publish implements publisher.Publisher.
func (s *scene) Publish(subject string, data []byte) error {
	data = slices.Clone(data)
	switch {
	case strings.HasPrefix(subject, "chat.v1.bc."):
		b := new(wire.Broadcast)
		s.decode(data, b)
		s.casts = append(s.casts, b)
	case strings.HasPrefix(subject, "chat.v1.head."):
		d := new(wire.Digest)
		s.decode(data, d)
		s.digests = append(s.digests, d)
	default:
		if s.replies[subject] != nil {
			s.Errorf("%s is answered twice", subject)
		}
		s.replies[subject] = data
	}
	return nil
}

func (s *scene) decode(data []byte, m wire.Message) {
	s.Helper()
	if err := wire.Unmarshal(data, m); err != nil {
		s.Fatal(err)
	}
}

// reply is the answer to what was asked with the reply subject "r".
func (s *scene) reply(m wire.Message) {
	s.Helper()
	s.world.RunReplies()
	if s.replies["r"] == nil {
		s.Fatal("no answer")
	}
	s.decode(s.replies["r"], m)
	delete(s.replies, "r")
}

// pass lets time pass, in ticks. Edges in alive are heard of all the while.
func (s *scene) pass(d time.Duration, alive ...string) {
	for end := s.world.Now.Add(d); s.world.Now.Before(end); {
		s.world.Now = s.world.Now.Add(rooms.TickEvery)
		for _, e := range alive {
			s.beat(e, 1, wire.StateOK)
		}
		s.RunTimers(s.world.Now)
		s.Tick(s.world.Now)
		s.world.RunReplies()
	}
}

func (s *scene) beat(edge string, gen uint64, state wire.State) {
	s.edges.Observe(s.world.Now, &wire.Heartbeat{Instance: edge, Gen: gen, State: state})
}

// heard is the broadcasts since the last look, as "event user" or "message seq".
func (s *scene) heard() []string {
	var all []string
	for _, b := range s.casts {
		var who struct {
			UserID string `json:"userId"`
		}
		if b.Record == nil && json.Unmarshal(b.Data, &who) != nil {
			s.Fatalf("%s carries %q", b.Event, b.Data)
		}
		all = append(all, strings.TrimSpace(b.Event+" "+who.UserID))
	}
	s.casts = nil
	return all
}

// hears fails the test unless exactly want was broadcast since the last look.
func (s *scene) hears(want ...string) {
	s.Helper()
	if got := s.heard(); !slices.Equal(got, want) {
		s.Errorf("broadcast %q, want %q", got, want)
	}
}

func person(id string) wire.User { return wire.User{ID: id, Name: "N " + id} }

func origin(edge string) wire.Origin { return wire.Origin{Edge: edge, Gen: 1} }

func (s *scene) join(edge, room, user string) *wire.Joined {
	s.Helper()
	s.Join(&wire.Join{Origin: origin(edge), Room: room, User: person(user)}, "r")
	var j wire.Joined
	s.reply(&j)
	if j.Code != "" {
		s.Fatalf("join: %+v", j.Fault)
	}
	return &j
}

func (s *scene) leave(edge, room, user string, grace time.Duration) {
	s.Helper()
	s.Leave(&wire.Leave{Origin: origin(edge), Room: room, User: user, GraceMs: uint64(grace.Milliseconds())}, "r")
	s.reply(&wire.Done{})
}

func (s *scene) send(room, user, cid string) *wire.Sent {
	s.Helper()
	s.Send(&wire.Send{Origin: origin("e1"), Room: room, User: person(user), ClientID: cid, Type: "TEXT", Content: "text " + cid}, "r")
	var sent wire.Sent
	s.reply(&sent)
	return &sent
}

// ask has a rule carry out a client event, to be answered on the subject reply.
func (s *scene) ask(reply string, user wire.User, name, payload string) {
	s.Helper()
	rules := s.Rules()
	i := slices.IndexFunc(rules, func(r request.Rule) bool { return r.Event == name })
	if i < 0 {
		s.Fatalf("%s has no rule", name)
	}
	cmd := wire.Command{User: user, Payload: []byte(payload)}
	p, err := rules[i].Decode(&cmd)
	if err != nil {
		s.Fatalf("%s %s: %v", name, payload, err)
	}
	rules[i].Run(request.New(s.publisher, &cmd, reply), p)
}

// result is the answer to a client event in room "r". A success is decoded into success.
func (s *scene) result(user, name, payload string, success any) *wire.Result {
	s.Helper()
	s.ask("r", person(user), name, payload)
	var m wire.Result
	if s.reply(&m); m.Code == "" {
		if err := json.Unmarshal(m.JSON, success); err != nil {
			s.Fatalf("%s: %s: %v", name, m.JSON, err)
		}
	}
	return &m
}

func (s *scene) stats(room string) *event.RoomStats {
	s.Helper()
	var reply event.RoomStatsRetrieved
	m := s.result("ann", event.NameGetRoomStats, `{"roomId":"`+room+`"}`, &reply)
	if m.Code != "" || m.Event != event.NameRoomStats || !strings.HasSuffix(string(m.JSON), string(m.Data[1:])) {
		s.Fatalf("stats: %+v", m)
	}
	return &reply.RoomStats
}
