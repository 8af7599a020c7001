// Package rooms owns the rooms of one shard: their members, who is typing, and their
// messages. Everything runs on the shard's goroutine, so it needs no locks and must not
// block: replies of the log come as callbacks.
package rooms

import (
	"log/slog"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/shard/ledger"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/readmark"
	"github.com/confab-chat/confab/services/room/internal/stats"
	"github.com/confab-chat/confab/shared/timerheap"
)

// Config is what a set needs. Everything is required.
type Config struct {
	Shard     int
	Epoch     uint64
	Streams   int // log streams
	Log       sequencer.Log
	Publisher *publisher.Publisher
	Now       func() time.Time
	Logger    *slog.Logger
	Counters  *stats.Counters
	Edges     *liveness.Table
	Journal   Journal

	SweepEvery time.Duration       // interval of the check for idle rooms
	IdleAfter  time.Duration       // after which a room without members is dropped
	Keep       sequencer.Retention // of messages
}

// Journal stores changes before they are announced; *ledger.Ledger implements it.
type Journal interface {
	Store(ledger.Holding)
	Announce(n wire.News, broadcasts int, publish func(number uint64)) *ledger.Entry
	Then(f func())
	Sent() uint64
}

// Set is the rooms of one shard. Its methods must be called on the shard's goroutine.
type Set struct {
	cfg    Config
	env    sequencer.Env
	rooms  map[string]*room
	timers timerheap.Queue[*timer]
	clock  timerheap.Clock

	pending   map[*room]struct{}            // rooms in which something is due, see runPending
	moved     map[*sequencer.Room]time.Time // heads that moved lately, for the digest
	holders   liveness.Holders
	book      membership.Book
	arrivals  map[arrival]*ledger.Entry // that are not announced yet
	unloaded  []*room                   // restored from snapshots, and not loaded yet
	retention retentionSweep
	occupied  int // rooms with members
	typing    int // users typing

	digestAt, sweepAt time.Time
	digestSentAt      time.Time   // the last digest
	inherited         uint64      // number of the last event of the previous owner
	digestNumber      uint64      // its Number
	scratchUsers      []wire.User // scratch
}

// room is one room in memory.
type room struct {
	sequencer.Room
	members   membership.Room
	departing []wire.User // whose departure is not announced yet
	listedAt  uint64      // number of the last event when a joiner was sent the members
	reads     readmark.Room
	ephemeral *ephemeral // nil most of the time
	userList  *userList  // nil unless the room is large
	activeMs  uint64     // last join, leave or message
	idleFrom  time.Time
	counted   bool // in Set.occupied
}

// userList is the list of users that joiners of a large room get.
type userList struct {
	version uint64 // wire.Joined.List
	users   []wire.User
}

type timer struct {
	timerheap.Place
	f func()
}

// New returns a set without rooms.
func New(cfg Config) *Set {
	s := &Set{
		cfg: cfg, rooms: make(map[string]*room),
		pending: make(map[*room]struct{}), moved: make(map[*sequencer.Room]time.Time),
		holders:  liveness.NewHolders(cfg.Edges),
		arrivals: make(map[arrival]*ledger.Entry),
	}
	s.book = membership.Book{Tally: membership.NewTally(), Changed: func(room string, u wire.User, state membership.State) {
		cfg.Journal.Store(ledger.NewHolding(room, u, state, nil))
	}}
	s.env = sequencer.Env{
		Log: cfg.Log, Publisher: cfg.Publisher, Epoch: cfg.Epoch, Now: cfg.Now, After: s.After, Logger: cfg.Logger,
		Counters: cfg.Counters, HeadMoved: func(r *sequencer.Room) { s.moved[r] = cfg.Now() },
	}
	return s
}

// open returns the room and loads it into memory if necessary.
func (s *Set) open(id string) *room {
	r := s.rooms[id]
	if r == nil {
		r = &room{idleFrom: s.cfg.Now()}
		r.members.Init(id, &s.book)
		r.Room.Init(&s.env, id, log.RoomOf(id, s.cfg.Streams))
		s.rooms[id] = r
	}
	return r
}

// After calls f, at least d from now.
func (s *Set) After(d time.Duration, f func()) {
	s.timers.Set(&timer{f: f}, s.clock.At(s.cfg.Now())+d)
}

// RunTimers runs the timers that are due at now, and returns when the next one is; false when
// there is none. It is cheap when nothing is due.
func (s *Set) RunTimers(now time.Time) (next time.Time, ok bool) {
	for {
		t, ok := s.timers.Pop(s.clock.At(now))
		if !ok {
			break
		}
		t.f()
	}
	due, ok := s.timers.Next()
	return s.clock.Time(due), ok
}

// TickEvery is how often Tick should be called: what is due in a room is late by at most this.
const TickEvery = 250 * time.Millisecond

// everySecond is the interval of the less frequent duties of Tick.
const everySecond = time.Second

// Tick does what is due at now.
func (s *Set) Tick(now time.Time) {
	for r := range s.pending {
		if !s.runPending(r, now) {
			delete(s.pending, r)
		}
	}
	s.loadRestored()
	if now.Sub(s.digestAt) >= everySecond {
		s.digestAt = now
		s.publishDigest(now)
		s.retain(now)
		s.sweepRetention(now)
		s.holders.CheckEdges(now, func(e membership.Edge, grace time.Duration) { s.loseEdge(now, e, grace) })
	}
	if now.Sub(s.sweepAt) >= s.cfg.SweepEvery {
		s.sweepAt = now
		s.sweepIdle(now)
	}
}

// Has reports whether the room id is in memory.
func (s *Set) Has(id string) bool { return s.rooms[id] != nil }

// Busy reports whether an operation on the log is under way in any room.
func (s *Set) Busy() bool {
	for _, r := range s.rooms {
		if !r.Quiet() {
			return true
		}
	}
	return false
}

// Close ends the reads of the log that are under way. The set must not be used afterwards.
func (s *Set) Close() { s.env.StopTasks() }

// sweepIdle drops rooms that are empty and idle, and frees caches of the others. The log keeps
// their messages, seq and creation time.
func (s *Set) sweepIdle(now time.Time) {
	s.env.DropIdleChunks(now)
	for id, r := range s.rooms {
		r.DropIdleMemory(now)
		switch {
		case !r.members.Empty() || !r.Quiet() || r.ephemeral != nil:
			r.idleFrom = now
		case now.Sub(r.idleFrom) >= s.cfg.IdleAfter:
			delete(s.rooms, id)
			delete(s.moved, &r.Room)
		}
	}
}

const (
	// digestWindow is how long a head that has moved is in the digests, one a second. An edge that
	// has received no digest for almost as long knows that it may have missed one.
	digestWindow = 10 * time.Second

	// digestIdleEvery is how often a digest is published although no head has moved.
	digestIdleEvery = 4 * time.Second

	maxDigest = 1000 // heads a message: 70 KB at most
)

// publishDigest publishes the heads that have moved, so that edges notice a lost broadcast
// even if no other broadcast follows.
func (s *Set) publishDigest(now time.Time) {
	d := wire.Digest{Epoch: s.cfg.Epoch, Number: s.cfg.Journal.Sent(), Before: s.digestNumber}
	s.digestNumber = d.Number
	for r, at := range s.moved {
		if now.Sub(at) > digestWindow {
			delete(s.moved, r)
		}
		if d.Heads = append(d.Heads, wire.Head{Room: r.ID(), Seq: r.Head()}); len(d.Heads) == maxDigest {
			s.digestSentAt = now
			s.cfg.Publisher.Publish(subject.Head(s.cfg.Shard), &d)
			d.Heads = d.Heads[:0]
		}
	}
	if len(d.Heads) > 0 || d.Number != d.Before || now.Sub(s.digestSentAt) >= digestIdleEvery {
		s.digestSentAt = now
		s.cfg.Publisher.Publish(subject.Head(s.cfg.Shard), &d)
	}
}
