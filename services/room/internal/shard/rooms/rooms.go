// Package rooms owns the rooms of one shard: who is in them, who types, what was
// said last. Everything happens on one goroutine, the shard's, so nothing here is
// locked and nothing may block: what takes time is a callback.
package rooms

import (
	"log/slog"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
	"github.com/confab-chat/confab/services/room/internal/stats"
	"github.com/confab-chat/confab/shared/timerheap"
)

// Config is what a shard needs. Everything is required.
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

	SweepEvery time.Duration       // rooms without members are looked at so often,
	IdleAfter  time.Duration       // and dropped after being idle for so long
	Keep       sequencer.Retention // of messages
}

// Set is the rooms of one shard. Its methods must be called on the shard's goroutine.
type Set struct {
	cfg    Config
	env    sequencer.Env
	rooms  map[string]*room
	timers timerheap.Queue[*timer]
	clock  timerheap.Clock

	pending   map[*room]struct{}            // something is due in them: see room.due
	moved     map[*sequencer.Room]time.Time // heads that moved lately: told by the digest
	holders   liveness.Holders
	unloaded  []*room // restored, and not loaded yet
	retention retentionSweep
	occupied  int // rooms with members
	typing    int // users who type

	startedAt         time.Time
	digestAt, sweepAt time.Time
	digestSentAt      time.Time   // of the last digest
	scratchUsers      []wire.User // scratch
}

// room is one room in memory.
type room struct {
	sequencer.Room
	members   membership.Room
	ephemeral *ephemeral // nil while nothing of it happens
	userList  *userList  // nil unless it is a crowd
	activeMs  uint64     // last join, leave or message
	idleFrom  time.Time
	counted   bool // in Set.occupied
}

// listed is the users of a crowd as joiners are told them.
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
		holders: liveness.NewHolders(cfg.Edges), startedAt: cfg.Now(),
	}
	s.env = sequencer.Env{
		Log: cfg.Log, Publisher: cfg.Publisher, Epoch: cfg.Epoch, Now: cfg.Now, After: s.after, Logger: cfg.Logger,
		Counters: cfg.Counters, HeadMoved: func(r *sequencer.Room) { s.moved[r] = cfg.Now() },
	}
	return s
}

// open returns the room, from now on in memory.
func (s *Set) open(id string) *room {
	r := s.rooms[id]
	if r == nil {
		r = &room{idleFrom: s.cfg.Now()}
		r.Room.Init(&s.env, id, log.RoomOf(id, s.cfg.Streams))
		s.rooms[id] = r
	}
	return r
}

func (s *Set) after(d time.Duration, f func()) {
	s.timers.Set(&timer{f: f}, s.clock.At(s.cfg.Now())+d)
}

// Timers runs what was to be done later and is due at now, and returns when the
// next of it is; false when there is none. It is cheap when nothing is due.
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

// TickEvery is how often Tick wants to run: what is due in a room comes at most so
// much late.
const TickEvery = 250 * time.Millisecond

// everySecond is for what is due less often.
const everySecond = time.Second

// Tick does what is due at now. back tells that an edge that was given up lives
// after all, so that its snapshot is needed.
func (s *Set) Tick(now time.Time) (back bool) {
	for r := range s.pending {
		if !s.runPending(r, now) {
			delete(s.pending, r)
		}
	}
	s.loadRestored()
	if now.Sub(s.digestAt) >= everySecond {
		s.digestAt = now
		s.publishDigest(now)
		s.sweepRetention(now)
		back = s.holders.CheckEdges(now, func(e membership.Edge, grace time.Duration) { s.loseEdge(now, e, grace) })
	}
	if now.Sub(s.sweepAt) >= s.cfg.SweepEvery {
		s.sweepAt = now
		s.sweepIdle(now)
	}
	return back
}

// Has tells whether the room id is in memory.
func (s *Set) Has(id string) bool { return s.rooms[id] != nil }

// Busy tells whether a message is on its way into the log.
func (s *Set) Busy() bool {
	for _, r := range s.rooms {
		if !r.Quiet() {
			return true
		}
	}
	return false
}

// Close ends the reads of the log that wait. The set must not be used afterwards.
func (s *Set) Close() { s.env.StopTasks() }

// sweep drops rooms that are empty and idle, and shrinks the others. Their log,
// seq and creation time stay.
func (s *Set) sweepIdle(now time.Time) {
	s.env.DropIdleChunks(now)
	for id, r := range s.rooms {
		r.DropIdleMemory(now)
		r.Retain(now, s.cfg.Keep)
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
	// digestWindow is how long a head that has moved is told, each second. An edge
	// that has heard no digest for almost as long knows that it may have missed one.
	digestWindow = 10 * time.Second

	// digestRest is how often a digest goes out in which nothing has moved.
	digestIdleEvery = 4 * time.Second

	maxDigest = 1000 // heads a message: 70 KB at most
)

// digest tells the edges which heads have moved, so that a lost broadcast that
// nothing follows is noticed.
func (s *Set) publishDigest(now time.Time) {
	d := wire.Digest{Epoch: s.cfg.Epoch}
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
	if len(d.Heads) > 0 || now.Sub(s.digestSentAt) >= digestIdleEvery {
		s.digestSentAt = now
		s.cfg.Publisher.Publish(subject.Head(s.cfg.Shard), &d)
	}
}
