// Package ledger stores who is here in one shard, and what was announced of it: a change is
// announced after its record is stored, so a new owner knows what members were shown, and
// announces the departures that its predecessor did not.
//
// A shard's ledger is one subject in JetStream. Every record is appended behind the last one
// that the owner knows. A new owner begins with an empty record: after it, no append of the
// predecessor succeeds. Then it reads all records. When they have grown to a multiple of what
// is held, the owner stores everything that is held again and removes the earlier records.
//
// Changes that arrive while a record is being stored go into the next one together.
package ledger

import (
	"log/slog"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

const (
	// pace is the least time between two records of a shard. The first one after a pause is
	// stored at once. Under load it bounds the records of 64 shards to 1 300 a second, which a
	// disk that syncs every write can take.
	pace = 50 * time.Millisecond

	// retryAfter is how long a failed append or read rests.
	retryAfter = 100 * time.Millisecond

	// maxEntries and maxBytes bound one record; the server's limit is 1 MB.
	maxEntries = 4096
	maxBytes   = 256 << 10

	// minGarbage is how many outdated holdings are stored at least before they are removed.
	minGarbage = 1000

	// maxWaiting bounds the changes that wait while nothing can be stored. Above it they are
	// dropped, and everything is stored again later; announcements remain.
	maxWaiting = 1 << 17

	// maxRecent is how many news of a shard are kept to be repeated.
	maxRecent = 1024

	// announceAnyway is how long an announcement waits for its record. If JetStream stores
	// nothing although the lease is renewed (a full disk), presence goes on without it.
	announceAnyway = 5 * time.Second
)

// Log is the part of *log.Log that a ledger uses. Its callbacks must run on the shard's
// goroutine, and never before the call has returned.
type Log interface {
	Append(room log.Room, expect uint64, record []byte, done func(pos uint64, err error))
	Tail(room log.Room, done func(log.Stored, error))
	Range(room log.Room, from uint64, batch, maxBytes int, each func(log.Stored, error) bool)
	Purge(room log.Room, before uint64, done func(n uint64, err error))
}

// Config is what a ledger needs. Everything is required.
type Config struct {
	Shard  int
	Epoch  uint64 // of the lease under which this shard is owned
	Log    Log
	Now    func() time.Time
	After  func(d time.Duration, f func()) // runs f later, on the shard's goroutine
	Logger *slog.Logger

	// Announcing is called before news are announced.
	Announcing func()
	// Valid reports whether the lease still holds.
	Valid func() bool
	// State calls put with everything that is held now.
	State func(put func(Holding))
}

// Ledger is the ledger of one shard. Its methods must be called on the shard's goroutine.
type Ledger struct {
	cfg  Config
	room log.Room // subject and stream
	load *loading // nil after Load

	queue    []*Entry // not stored yet, in order
	inFlight int      // so many of queue are in the record that is being stored
	batch    uint64   // of the last record
	pos      uint64   // of the last record
	number   uint64   // the last one used
	sent     uint64   // the last one announced

	busy     bool      // an append or a read is under way, or rests
	notUntil time.Time // the next record
	deferred bool      // a flush at notUntil is scheduled
	over     bool      // a later owner has begun
	fresh    bool      // there was no record

	recent []recent // announced lately, in order
	since  uint64   // every later one is in recent

	stored  int  // holdings in the records
	held    int  // of them not outdated when everything was stored last
	rewrite bool // everything must be stored again
	// While everything is stored again: its first and last entry, and the position of the
	// record with the first.
	first, last *Entry
	oldest      uint64
}

// Entry is one change that is not stored yet.
type Entry struct {
	holding *Holding
	news    *wire.News
	run     func() // nil: nothing to do
	at      time.Time
}

// New returns a ledger that has not been read.
func New(cfg Config) *Ledger {
	return &Ledger{cfg: cfg, room: log.Room{Stream: subject.StreamLedger, Subject: subject.Ledger(cfg.Shard)}}
}

// Fresh reports whether the ledger was empty: nothing is known of what was announced.
func (l *Ledger) Fresh() bool { return l.fresh }

// Loaded reports whether the ledger was read.
func (l *Ledger) Loaded() bool { return l.batch > 0 && l.load == nil }

// Sent returns the number of the last broadcast that was published.
func (l *Ledger) Sent() uint64 { return l.sent }

// Waiting reports whether changes wait to be stored.
func (l *Ledger) Waiting() bool { return len(l.queue) > 0 && !l.over }

// Store adds a change.
func (l *Ledger) Store(h Holding) {
	switch {
	case l.over:
	case len(l.queue) >= maxWaiting:
		l.rewrite = true
	default:
		l.queue = append(l.queue, &Entry{holding: &h, at: l.cfg.Now()})
	}
}

// Announce adds n, and calls publish after n and all earlier changes are stored. n has so many
// broadcasts; publish gets the number of the first.
func (l *Ledger) Announce(n wire.News, broadcasts int, publish func(number uint64)) *Entry {
	n.Number = l.number + 1
	l.number += uint64(broadcasts)
	last := l.number
	e := &Entry{news: &n, at: l.cfg.Now(), run: func() {
		l.sent = max(l.sent, last)
		l.remember(&n, l.cfg.Now())
		publish(n.Number)
	}}
	if !l.over {
		l.queue = append(l.queue, e)
	}
	return e
}

// Withdraw takes back an announcement. It returns false when it is too late.
func (e *Entry) Withdraw() bool {
	open := e.run != nil
	e.run, e.news = nil, nil
	return open
}

// Then calls f after all changes so far are stored and announced; at once if they are.
func (l *Ledger) Then(f func()) {
	if len(l.queue) == 0 {
		f()
		return
	}
	l.queue = append(l.queue, &Entry{run: f, at: l.cfg.Now()})
}

// Flush begins to store what waits, unless a record is being stored. It must be called after
// every step of the shard.
func (l *Ledger) Flush() {
	if l.busy || !l.Loaded() || l.over {
		return
	}
	for len(l.queue) > 0 && l.queue[0].holding == nil && l.queue[0].news == nil && l.queue[0] != l.last {
		e := l.queue[0]
		l.queue = l.queue[1:]
		e.finish()
	}
	if len(l.queue) == 0 && !l.rewrite {
		l.queue = nil
		return
	}
	now := l.cfg.Now()
	if now.Before(l.notUntil) {
		if !l.deferred {
			l.deferred = true
			l.cfg.After(l.notUntil.Sub(now), func() { l.deferred = false })
		}
		return
	}
	l.notUntil = now.Add(pace)
	if l.rewrite || l.last == nil && l.stored > minGarbage+2*l.held {
		l.storeAll()
	}
	l.append(l.record())
}
