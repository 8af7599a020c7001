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

// Room orders and stores the messages of one room. Its methods must be called on the
// goroutine of its shard. The zero value must be initialised with Init.
//
// Invariant: at most one operation on the log that may change the head is under way
// (busy): an append, loading the head or the window, or catching up.
type Room struct {
	env       *Env
	id        string
	logRoom   log.Room
	broadcast string // subject of the room's broadcasts

	head   head
	loaded bool // head is known
	stale  bool // an append failed: the log may have records behind head
	busy   bool

	queue    []*queuedMessage // to be appended; the first sending of them are in an append
	sending  int
	waiting  map[dedup.ID]*queuedMessage // of queue
	waiters  []waiter                    // for loaded
	failures int                         // failures since the last success

	index      dedup.Index
	indexed    bool // index covers the window up to head
	ring       cache.Ring
	lastUsedAt time.Time // of index and ring
	warmAt     time.Time // when the server last used the room's last record

	delivered uint64 // the highest seq that an edge has delivered, as far as edges have reported

	oldest   uint64 // seq of the oldest message retained, as of oldestAt; 0: unknown
	oldestAt time.Time

	// See Retain.
	retainAt  time.Time // when to check for messages that are not to be kept,
	retainSeq uint64    // or at which head
	retaining bool      // a check is under way
}

// head is what is known of the room's last record.
type head struct {
	seq, pos  uint64 // 0: the room has none
	stored    uint64 // the last seq in the log: less than seq if the log has lost its end
	atMs      uint64
	createdMs uint64
	marks     history.Marks // to be written into the next record
	pages     dedupPages    // the same
}

// waiter is a command that needs the head.
type waiter struct {
	deadline time.Time
	run      func(error)
}

// maxWaiters bounds the commands that wait until a room is loaded.
const maxWaiters = 1024

// Init makes r the room id, stored at logRoom. Nothing is known of it yet.
func (r *Room) Init(env *Env, id string, logRoom log.Room) {
	token := subject.Token(id)
	r.env, r.id, r.logRoom = env, id, logRoom
	r.broadcast = subject.RoomBroadcast(subject.ShardOf(token), token)
}

// ID returns the room's id.
func (r *Room) ID() string { return r.id }

// Broadcast publishes b to the edges with members of the room. It sets the room's id and
// the owner's epoch.
func (r *Room) Broadcast(b *wire.Broadcast) {
	b.Room, b.Epoch = r.id, r.env.Epoch
	r.env.Publisher.Publish(r.broadcast, b)
}

// broadcastRecord broadcasts an encoded record, stored at pos, and continues traces.
func (r *Room) broadcastRecord(pos uint64, data []byte, traces ...string) {
	b := &r.env.scratchBroadcast // not a new one, which would cost an allocation
	*b = wire.Broadcast{Room: r.id, Epoch: r.env.Epoch, Pos: pos, Record: data}
	r.env.Publisher.Publish(r.broadcast, b, traces...)
	*b = wire.Broadcast{}
}

// Head returns the seq of the last message; 0 without one or before the room is loaded.
func (r *Room) Head() uint64 { return r.head.seq }

// Loaded reports whether the room's last record was read from the log.
func (r *Room) Loaded() bool { return r.loaded }

// LastMs and CreatedMs return when the last message was accepted and when the room was
// created, in Unix milliseconds; 0 while the room has no message or is not loaded.
func (r *Room) LastMs() uint64    { return r.head.atMs }
func (r *Room) CreatedMs() uint64 { return r.head.createdMs }

// SetCreated sets when a room without messages was created; its first record stores it.
func (r *Room) SetCreated(ms uint64) {
	if r.head.createdMs == 0 {
		r.head.createdMs = ms
	}
}

// Quiet reports whether no operation is under way and none waits, so that the room may be
// dropped.
func (r *Room) Quiet() bool {
	return !r.busy && len(r.queue) == 0 && len(r.waiters) == 0
}

// How long an idle room keeps its caches.
const (
	cacheIdle = 2 * time.Minute
	indexIdle = dedup.WindowMs * time.Millisecond
)

// DropIdleMemory frees the caches of an idle room.
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

// WhenLoaded calls f once the room is loaded, or with an error if the log cannot be read
// in time. If the room is loaded already, it calls f before it returns.
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

// startNext starts the next operation on the log, unless one is under way.
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
	case !r.indexed && r.head.stored > 0:
		r.loadWindow()
	case r.head.seq > 0 && r.env.Now().Sub(r.warmAt) > warmFor:
		r.warmLog()
	default:
		r.appendNext()
	}
}

// advanceHead makes the record at pos the room's last one, and keeps its messages.
func (r *Room) advanceHead(rec *wire.Record, pos uint64) {
	r.warmAt = r.env.Now()
	r.head.marks = r.head.marks.Advance(rec, pos)
	r.head.pages = r.head.pages.advance(rec, pos)
	r.head.seq, r.head.stored, r.head.pos = rec.Last(), rec.Last(), pos
	r.head.createdMs = rec.CreatedMs
	for i := range rec.Entries {
		e, seq := &rec.Entries[i], rec.First+uint64(i)
		r.head.atMs = e.AtMs
		r.ring.Add(wire.Item{Seq: seq, JSON: e.JSON})
		r.cacheChunk(seq)
	}
	r.env.HeadMoved(r)
}

// cacheChunk adds the chunk that seq completes to the cached history: clients that return
// ask for the latest messages, and the ring holds only the last of them.
func (r *Room) cacheChunk(seq uint64) {
	first, last := cache.ChunkBounds(seq, seq)
	if seq != last || !r.ring.Has(first) {
		return
	}
	r.env.chunks.Add(r.id, slices.Clone(r.ring.Slice(first, last)))
	r.env.chunksUsedAt = r.env.Now()
}
