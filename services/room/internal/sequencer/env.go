// Package sequencer orders the messages of each room and stores them in the log. For one
// room it holds the last message, the queue of messages to append, the client ids of the
// de-duplication window, and the latest messages.
//
// A message is acknowledged only after the log has acknowledged its record. An append succeeds
// only if the newest record of the log is the one that the room knows as the last. If the log
// refuses an append or does not answer, the room reads the records after that one, finds out
// which of its own messages are among them, and appends the others again.
package sequencer

import (
	"log/slog"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/services/room/internal/sequencer/cache"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/stats"
)

// Log is the part of *log.Log that rooms use. Its callbacks must run on the goroutine
// that owns the room, and never before the call has returned.
type Log interface {
	Append(room log.Room, expect uint64, record []byte, done func(pos uint64, err error))
	Tail(room log.Room, done func(log.Stored, error))
	Next(room log.Room, from uint64, done func(log.Stored, error))
	At(room log.Room, pos uint64, done func(log.Stored, error))
	First(room log.Room, done func(log.Stored, error))
	Range(room log.Room, from uint64, batch, maxBytes int, each func(log.Stored, error) bool)
	Purge(room log.Room, before uint64, done func(n uint64, err error))
	LargeRooms(shard, streams int, min uint64, done func([]log.Room, error))
}

// Env is what the rooms of one shard share. Like them it must be used by one goroutine.
type Env struct {
	Log       Log
	Publisher *publisher.Publisher
	Epoch     uint64 // of the lease under which this shard is owned
	Now       func() time.Time
	After     func(d time.Duration, f func()) // runs f later, on the owning goroutine
	Logger    *slog.Logger

	Counters *stats.Counters

	// HeadMoved is called with every room whose last message has changed.
	HeadMoved func(*Room)

	chunks       cache.Chunks // of history
	chunksUsedAt time.Time    // when something was added to them or read for them

	// PageEvery is after how many messages a record lists those stored before it
	// (wire.Record.Known); 0 means 256.
	PageEvery uint64

	tasks       map[*task]struct{} // waiting for the log
	reads       gate               // of history
	loads       gate               // of last records
	windows     gate               // of de-duplication windows
	spareDrafts []*draft

	// Scratch: a Known until its record is encoded, messages until they are published.
	// They save allocations.
	scratchPage      []byte
	scratchSent      wire.Sent
	scratchBroadcast wire.Broadcast
}

// DropIdleChunks frees the cached history if no request has used it for a while.
func (e *Env) DropIdleChunks(now time.Time) {
	if now.Sub(e.chunksUsedAt) > cacheIdle {
		e.chunks.Clear()
	}
}

// Limits of one room and of one shard. A command beyond a limit fails with UNAVAILABLE,
// and the edge repeats it.
const (
	// maxBatch and maxBatchBytes bound one record: the server's limit is 1 MB, and
	// 64 messages an append make 80 000 messages/s in one room.
	maxBatch      = 64
	maxBatchBytes = 256 << 10

	// maxQueue bounds the messages that wait in one room: 16 appends, 0.1 s on a busy
	// cluster.
	maxQueue = 1024

	// maxRepeats bounds the repeats of one message that wait for its outcome.
	maxRepeats = 16

	// pageEvery makes a page 10 KB. On average a new owner reads half as many messages
	// one by one as a page has, and one record for each page.
	pageEvery = 256

	// maxReads at once and maxReadsWaiting bound each kind of log reads of a shard.
	// A read brings at most 1 MB at a time; a new owner loads thousands of rooms.
	maxReads        = 8
	maxReadsWaiting = 1 << 16

	// CommandTimeout is how long a command is tried; the edge gives up at the same time.
	CommandTimeout = 5 * time.Second
)

// pageEvery returns PageEvery or its default.
func (e *Env) pageEvery() uint64 {
	if e.PageEvery > 0 {
		return e.PageEvery
	}
	return pageEvery
}

// draft is a record on its way into the log.
type draft struct {
	rec  wire.Record
	data []byte // its encoding
}

// takeDraft returns an empty draft. recycleDraft must be called with it once.
func (e *Env) takeDraft() *draft {
	if n := len(e.spareDrafts); n > 0 {
		d := e.spareDrafts[n-1]
		e.spareDrafts = e.spareDrafts[:n-1]
		return d
	}
	return &draft{data: make([]byte, 0, 1024)}
}

const maxSpare = 64 // a shard rarely has more appends in flight

func (e *Env) recycleDraft(d *draft) {
	if len(e.spareDrafts) == maxSpare || cap(d.data) > maxBatchBytes {
		return
	}
	clear(d.rec.Entries)
	d.rec = wire.Record{Entries: d.rec.Entries[:0]}
	d.data = d.data[:0]
	e.spareDrafts = append(e.spareDrafts, d)
}
