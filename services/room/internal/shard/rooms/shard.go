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
	"github.com/confab-chat/confab/services/room/internal/timerheap"
)

// Config is what a shard needs. Everything is required.
type Config struct {
	Shard   int
	Epoch   uint64
	Streams int // log streams
	Log     sequencer.Log
	Bus     *publisher.Bus
	Now     func() time.Time
	Logger  *slog.Logger
	Count   *stats.Counters
	Edges   *liveness.Table

	SweepEvery time.Duration       // rooms without members are looked at so often,
	IdleAfter  time.Duration       // and dropped after being idle for so long
	Keep       sequencer.Retention // of messages
}

// Shard is the state of one shard. All methods belong to its goroutine.
type Shard struct {
	cfg    Config
	env    sequencer.Env
	rooms  map[string]*room
	timers timerheap.Queue[*timer]
	clock  timerheap.Clock

	restless map[*room]struct{}            // something is due in them: see room.due
	moved    map[*sequencer.Room]time.Time // heads that moved lately: told by the digest
	holders  liveness.Holders
	cold     []*room // restored, and not loaded yet
	patrol   patrol
	populous int // rooms with members
	typing   int // users who type

	begun             time.Time
	digestAt, sweepAt time.Time
	toldAt            time.Time   // of the last digest
	users             []wire.User // scratch
}

// room is one room in memory.
type room struct {
	sequencer.Room
	members  membership.Room
	chatter  *chatter // nil while nothing of it happens
	listed   *listed  // nil unless it is a crowd
	activeMs uint64   // last join, leave or message
	idleFrom time.Time
	counted  bool // in Shard.populous
}

// listed is the users of a crowd as joiners are told them.
type listed struct {
	name  uint64 // wire.Joined.List
	users []wire.User
}

type timer struct {
	timerheap.Place
	f func()
}

// NewShard returns a shard without rooms.
func NewShard(cfg Config) *Shard {
	s := &Shard{
		cfg: cfg, rooms: make(map[string]*room),
		restless: make(map[*room]struct{}), moved: make(map[*sequencer.Room]time.Time),
		holders: liveness.NewHolders(cfg.Edges), begun: cfg.Now(),
	}
	s.env = sequencer.Env{
		Log: cfg.Log, Bus: cfg.Bus, Epoch: cfg.Epoch, Now: cfg.Now, After: s.after, Logger: cfg.Logger,
		Count: cfg.Count, Moved: func(r *sequencer.Room) { s.moved[r] = cfg.Now() },
	}
	return s
}

// open returns the room, from now on in memory.
func (s *Shard) open(id string) *room {
	r := s.rooms[id]
	if r == nil {
		r = &room{idleFrom: s.cfg.Now()}
		r.Room.Init(&s.env, id, log.RoomOf(id, s.cfg.Streams))
		s.rooms[id] = r
	}
	return r
}

func (s *Shard) after(d time.Duration, f func()) {
	s.timers.Set(&timer{f: f}, s.clock.At(s.cfg.Now())+d)
}

// Timers runs what was to be done later and is due at now, and returns when the
// next of it is; false when there is none. It is cheap when nothing is due.
func (s *Shard) Timers(now time.Time) (next time.Time, ok bool) {
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
func (s *Shard) Tick(now time.Time) (back bool) {
	for r := range s.restless {
		if !s.settle(r, now) {
			delete(s.restless, r)
		}
	}
	s.load()
	if now.Sub(s.digestAt) >= everySecond {
		s.digestAt = now
		s.digest(now)
		s.patrols(now)
		back = s.holders.Watch(now, func(e membership.Edge, grace time.Duration) { s.loseEdge(now, e, grace) })
	}
	if now.Sub(s.sweepAt) >= s.cfg.SweepEvery {
		s.sweepAt = now
		s.sweep(now)
	}
	return back
}

// Has tells whether the room id is in memory.
func (s *Shard) Has(id string) bool { return s.rooms[id] != nil }

// Busy tells whether a message is on its way into the log.
func (s *Shard) Busy() bool {
	for _, r := range s.rooms {
		if !r.Quiet() {
			return true
		}
	}
	return false
}

// sweep drops rooms that are empty and idle, and shrinks the others. Their log,
// seq and creation time stay.
func (s *Shard) sweep(now time.Time) {
	s.env.Shrink(now)
	for id, r := range s.rooms {
		r.Shrink(now)
		r.Retain(now, s.cfg.Keep)
		switch {
		case !r.members.Empty() || !r.Quiet() || r.chatter != nil:
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
	digestRest = 4 * time.Second

	maxDigest = 1000 // heads a message: 70 KB at most
)

// digest tells the edges which heads have moved, so that a lost broadcast that
// nothing follows is noticed.
func (s *Shard) digest(now time.Time) {
	d := wire.Digest{Epoch: s.cfg.Epoch}
	for r, at := range s.moved {
		if now.Sub(at) > digestWindow {
			delete(s.moved, r)
		}
		if d.Heads = append(d.Heads, wire.Head{Room: r.ID(), Seq: r.Head()}); len(d.Heads) == maxDigest {
			s.toldAt = now
			s.cfg.Bus.Publish(subject.Head(s.cfg.Shard), &d)
			d.Heads = d.Heads[:0]
		}
	}
	if len(d.Heads) > 0 || now.Sub(s.toldAt) >= digestRest {
		s.toldAt = now
		s.cfg.Bus.Publish(subject.Head(s.cfg.Shard), &d)
	}
}
