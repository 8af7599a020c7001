package sequencer

import (
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/cache"
	"github.com/confab-chat/confab/services/room/internal/sequencer/dedup"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// Room is the ledger of one room. It belongs to the goroutine of its shard.
//
// The zero value wants Init.
//
// Invariant: at most one of append, reload, load and rebuild is under way (busy),
// so the head can change in one place at a time.
type Room struct {
	env       *Env
	id        string
	logRoom   log.Room
	broadcast string // subject of the room's broadcasts

	head   head
	loaded bool // head is known
	stale  bool // an append failed: the log may have more than head says
	busy   bool

	queue    []*queuedMessage // messages to be appended; the first sending of them are in an append
	sending  int
	waiting  map[dedup.ID]*queuedMessage // of queue
	waiters  []waiter                    // for loaded
	failures int                         // failures since the last success

	index      dedup.Index
	indexed    bool // index covers the window up to head
	ring       cache.Ring
	lastUsedAt time.Time // of index and ring
	warmAt     time.Time // when the server had the room's last record at hand

	oldest   uint64 // seq of the first message retained, as of oldestAt
	oldestAt time.Time

	// When to look for what is not to be kept any more, see Retain.
	retainAt  time.Time
	retainSeq uint64 // or when the head has come so far
	retaining bool   // a look is under way
}

// head is what is known of the room's last record.
type head struct {
	seq, pos  uint64 // 0: the room has none
	atMs      uint64
	createdMs uint64
	marks     history.Marks // what the next record will say
	pages     dedupPages    // the same
}

// waiter is a command that needs the head.
type waiter struct {
	deadline time.Time
	run      func(error)
}

// maxWaiters bounds the commands that wait for a cold room.
const maxWaiters = 1024

// Init makes r the ledger of room id, of which nothing is known yet, stored at place.
func (r *Room) Init(env *Env, id string, place log.Room) {
	token := subject.Token(id)
	r.env, r.id, r.logRoom = env, id, place
	r.broadcast = subject.RoomBroadcast(subject.ShardOf(token), token)
}

// ID is the room's id.
func (r *Room) ID() string { return r.id }

// Broadcast publishes b to the edges that hold the room, under its name and the
// owner's epoch.
func (r *Room) Broadcast(b *wire.Broadcast) {
	b.Room, b.Epoch = r.id, r.env.Epoch
	r.env.Publisher.Publish(r.broadcast, b)
}

// broadcastRecord is Broadcast of the record data, stored at pos. It continues traces.
func (r *Room) broadcastRecord(pos uint64, data []byte, traces ...string) {
	b := &r.env.scratchBroadcast // not a new one, which would cost an allocation
	*b = wire.Broadcast{Room: r.id, Epoch: r.env.Epoch, Pos: pos, Record: data}
	r.env.Publisher.Publish(r.broadcast, b, traces...)
	*b = wire.Broadcast{}
}

// Head is the seq of the room's last message, once it is Loaded.
func (r *Room) Head() uint64 { return r.head.seq }

// Loaded tells whether the head is known.
func (r *Room) Loaded() bool { return r.loaded }

// LastMs and CreatedMs are when the last message was accepted, and when the room
// was made; 0 while the room has no message or is not Loaded.
func (r *Room) LastMs() uint64    { return r.head.atMs }
func (r *Room) CreatedMs() uint64 { return r.head.createdMs }

// SetCreated says when a room without messages was made; its first record will.
func (r *Room) SetCreated(ms uint64) {
	if r.head.createdMs == 0 {
		r.head.createdMs = ms
	}
}

// Quiet tells that nothing is under way or waits, so that the ledger may be dropped.
func (r *Room) Quiet() bool {
	return !r.busy && len(r.queue) == 0 && len(r.waiters) == 0
}

// What stays in memory of a room in which nothing is said.
const (
	cacheIdle = 2 * time.Minute
	indexIdle = dedup.WindowMs * time.Millisecond
)

// Shrink gives back memory that an idle room does not need.
func (r *Room) DropIdleMemory(now time.Time) {
	idle := now.Sub(r.lastUsedAt)
	if idle > cacheIdle {
		r.ring.Clear()
		if r.Quiet() {
			r.queue, r.waiting = nil, nil
		}
	}
	if idle > indexIdle && r.Quiet() {
		r.index.Clear()
		r.indexed = false
	}
}

// WhenLoaded runs f when the head is known, or with an error when it cannot be
// read in time. f runs before WhenLoaded returns when the head is known already.
func (r *Room) WhenLoaded(f func(error)) {
	switch {
	case r.loaded:
		f(nil)
	case len(r.waiters) >= maxWaiters:
		f(errOverloaded())
	default:
		r.waiters = append(r.waiters, waiter{r.env.Now().Add(CommandTimeout), f})
		r.startNext()
	}
}

// step begins what is to be done next, unless something is under way.
func (r *Room) startNext() {
	switch {
	case r.busy:
	case !r.loaded:
		if len(r.queue)+len(r.waiters) > 0 {
			r.loadHead()
		}
	case len(r.queue) == 0:
	case r.stale:
		r.catchUp()
	case !r.indexed && r.head.seq > 0:
		r.loadWindow()
	case r.head.seq > 0 && r.env.Now().Sub(r.warmAt) > warmFor:
		r.warmLog()
	default:
		r.appendNext()
	}
}

// follow makes the record at pos the room's last one. Its messages may be kept.
func (r *Room) advanceHead(rec *wire.Record, pos uint64) {
	r.warmAt = r.env.Now()
	r.head.marks = r.head.marks.Advance(rec, pos)
	r.head.pages = r.head.pages.advance(rec, pos)
	r.head.seq, r.head.pos = rec.Last(), pos
	r.head.createdMs = rec.CreatedMs
	for i := range rec.Entries {
		e, seq := &rec.Entries[i], rec.First+uint64(i)
		r.head.atMs = e.AtMs
		r.ring.Add(wire.Item{Seq: seq, JSON: e.JSON})
		r.cacheChunk(seq)
	}
	r.env.HeadMoved(r)
}

// keepChunk keeps the chunk that seq completes among the pages of history: what was
// said lately is what is asked for when somebody comes back, and the ring holds only
// the last of it.
func (r *Room) cacheChunk(seq uint64) {
	first, last := cache.ChunkBounds(seq, seq)
	if seq != last || !r.ring.Has(first) {
		return
	}
	r.env.chunks.Add(r.id, slices.Clone(r.ring.Slice(first, last)))
	r.env.chunksUsedAt = r.env.Now()
}
