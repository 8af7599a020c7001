// Package relay is the edge's side of NATS. It sends commands to the owners of rooms
// and users, in order and until their deadline. It holds one subscription for each room
// with members here, orders what arrives (package stream), requests what is missing, and
// passes it to the hub. It counts which users are in which rooms on this edge, and keeps
// their owners informed.
//
// The work is divided over a few NATS connections by shard. Each connection has one
// goroutine (intake) that owns all state of its shards, so nothing here has a lock.
package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/shared/mailbox"
	"github.com/confab-chat/confab/shared/natsconn"
)

// Options configure a Relay. Edge, Gen, Conns and Hub are required.
type Options struct {
	Edge  string // instance id
	Gen   uint64 // of this start, see heartbeat.NewGen
	Conns []*nats.Conn
	Hub   *hub.Hub
	// RoomScope sends presence to the members of shared rooms only (CONFAB_PRESENCE_SCOPE
	// rooms), instead of to all connections.
	RoomScope bool
	// Silence is how long a shard may send no digest before its heads are requested;
	// default digestSilence.
	Silence time.Duration
	Logger  *slog.Logger
	Tracer  trace.Tracer // nil disables tracing
}

// Relay is the edge's side of NATS. All methods may be called from any goroutine.
type Relay struct {
	// Static.
	origin    wire.Origin
	hub       *hub.Hub
	roomScope bool
	silence   time.Duration
	log       *slog.Logger
	tracer    trace.Tracer // may be nil
	intakes   []*intake

	malformed malformed
}

// New subscribes to what every edge receives. Nothing is processed before Run.
func New(o Options) (*Relay, error) {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if len(o.Conns) == 0 {
		return nil, errors.New("relay: no nats connection")
	}
	r := &Relay{
		origin: wire.Origin{Edge: o.Edge, Gen: o.Gen}, hub: o.Hub, roomScope: o.RoomScope, log: o.Logger, tracer: o.Tracer,
		silence: cmp.Or(o.Silence, digestSilence),
	}
	r.malformed.log = o.Logger
	for i, nc := range o.Conns {
		in, err := newIntake(r, i, nc)
		if err != nil {
			return nil, fmt.Errorf("relay: %w", err)
		}
		r.intakes = append(r.intakes, in)
	}
	for _, in := range r.intakes {
		if err := in.subscribe(); err != nil {
			return nil, fmt.Errorf("relay: subscribe: %w", err)
		}
	}
	return r, nil
}

func newIntake(r *Relay, index int, nc *nats.Conn) (*intake, error) {
	in := &intake{
		relay: r, index: index, nc: nc, hub: r.hub,
		in:      make(chan *nats.Msg, intakeBuffer),
		state:   nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED),
		log:     r.log,
		mailbox: mailbox.New(),
		now:     time.Now(), keptAt: time.Now(),
		handlers: make(map[*nats.Subscription]func(*nats.Msg)),
		rooms:    make(map[string]*room),
		stalled:  make(map[*lane]struct{}), withTimer: make(map[*room]struct{}),
	}
	if !nc.IsConnected() {
		in.lostAt = in.now
	}
	var err error
	in.req, err = natsconn.NewRequester(nc, in.in)
	return in, err
}

// subscribe subscribes to what is not about one room: heads and presence of the
// intake's shards, and new owners' requests for snapshots.
func (in *intake) subscribe() error {
	add := func(subj string, handler func(*nats.Msg)) error {
		sub, err := in.nc.ChanSubscribe(subj, in.in)
		if err == nil {
			in.handlers[sub] = handler
		}
		return err
	}
	errs := []error{add(subject.EdgesSync, in.sendSnapshot)}
	for shard := in.index; shard < subject.Shards; shard += len(in.relay.intakes) {
		// With presence by rooms, the second carries only events for a user's own
		// connections.
		errs = append(errs, add(subject.Head(shard), func(m *nats.Msg) { in.onDigest(shard, m) }), add(subject.UserBroadcast(shard), in.onUserBroadcast))
	}
	return errors.Join(errs...)
}

// Run processes messages until ctx ends. Commands that are still open then fail.
func (r *Relay) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, in := range r.intakes {
		wg.Go(func() { in.req.Run(ctx) })
		wg.Go(func() { in.run(ctx) })
	}
	wg.Wait()
	for _, in := range r.intakes {
		in.stop()
	}
	return nil
}

// stop unsubscribes and fails all open commands.
func (in *intake) stop() {
	in.nc.RemoveStatusListener(in.state)
	for sub := range in.handlers {
		_ = sub.Unsubscribe() // the connection may be gone
	}
	for _, r := range in.rooms {
		_ = r.sub.Unsubscribe()
	}
	in.mailbox.Close()
	in.mailbox.Run()
	for _, lanes := range in.lanes {
		for _, l := range lanes {
			l.abandon()
		}
	}
}

// intake returns the intake that owns a shard.
func (r *Relay) intake(shard int) *intake { return r.intakes[shard%len(r.intakes)] }

// Origin identifies the edge to owners.
func (r *Relay) Origin() wire.Origin { return r.origin }

// Members collects the ids of users whose connections on this edge have joined any of
// the rooms, each once, at most limit. done runs on an intake's goroutine.
func (r *Relay) Members(rooms []string, limit int, done func(ids []string)) {
	var found []string
	next := func() { done(found) }
	for _, id := range rooms {
		in, then := r.intake(subject.Shard(id)), next
		next = func() {
			ok := in.mailbox.Post(func() {
				found = in.members(id, limit, found)
				then()
			})
			if !ok {
				then()
			}
		}
	}
	next()
}

func (in *intake) members(room string, limit int, found []string) []string {
	r := in.rooms[room]
	if r == nil {
		return found
	}
	for i := range r.roster.list {
		if len(found) >= limit {
			break
		}
		if id := r.roster.list[i].user.ID; !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	return found
}

// Counts holds current numbers, and counters since the start.
type Counts struct {
	Rooms, Users, Memberships int
	Repaired                  uint64 // holes
	Gone                      uint64 // messages that could not be delivered
	Malformed                 uint64 // messages from NATS that were dropped
}

// Counts returns the sums over all intakes.
func (r *Relay) Counts() Counts {
	c := Counts{Malformed: r.malformed.dropped.Load()}
	for _, in := range r.intakes {
		c.Rooms += int(in.counts.rooms.Load())
		c.Users += int(in.counts.users.Load())
		c.Memberships += int(in.counts.memberships.Load())
		c.Repaired += in.counts.repaired.Load()
		c.Gone += in.counts.lost.Load()
	}
	return c
}
