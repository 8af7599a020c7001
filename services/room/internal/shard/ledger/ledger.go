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
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
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

// Holding is a wire.Holding with its edge. Without an edge the member is gone.
type Holding struct {
	wire.Holding
	Origin wire.Origin
}

// NewHolding returns what is stored of a member of a room, or of a user's presence if room is
// empty.
func NewHolding(room string, u wire.User, s membership.State, rooms []string) Holding {
	h := Holding{Holding: wire.Holding{Room: room, User: u, Rooms: rooms}}
	if !s.Gone {
		h.Origin = wire.Origin{Edge: s.Edge.ID, Gen: s.Edge.Gen}
	}
	if !s.Until.IsZero() {
		h.UntilMs = uint64(s.Until.UnixMilli())
	}
	return h
}

// State is the inverse of NewHolding.
func (h *Holding) State() membership.State {
	s := membership.State{Edge: membership.Edge{ID: h.Origin.Edge, Gen: h.Origin.Gen}, Gone: h.Origin.Edge == ""}
	if h.UntilMs > 0 {
		s.Until = time.UnixMilli(int64(h.UntilMs))
	}
	return s
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

// recent is news that was announced at at.
type recent struct {
	*wire.News
	at time.Time
}

// remember keeps n for Recent.
func (l *Ledger) remember(n *wire.News, at time.Time) {
	l.recent = append(l.recent, recent{n, at})
	if over := len(l.recent) - maxRecent; over >= maxRecent/4 {
		l.since = lastNumber(l.recent[over-1].News)
		l.recent = append(l.recent[:0:0], l.recent[over:]...)
	}
}

// lastNumber returns the number of the last broadcast of n.
func lastNumber(n *wire.News) uint64 { return n.Number + uint64(max(1, len(n.Rooms))) - 1 }

// Since returns the news that have broadcasts with a number above after, in order. complete is
// false when some of them are not known any more.
func (l *Ledger) Since(after uint64) (news []*wire.News, complete bool) {
	for _, n := range l.recent {
		if lastNumber(n.News) > after {
			news = append(news, n.News)
		}
	}
	return news, after >= l.since
}

// Recent returns the news that were announced at start or later, in order.
func (l *Ledger) Recent(start time.Time) (news []*wire.News) {
	for _, n := range l.recent {
		if !n.at.Before(start) {
			news = append(news, n.News)
		}
	}
	return news
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
	for len(l.queue) > 0 && l.queue[0].holding == nil && l.queue[0].news == nil {
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

// storeAll puts everything that is held at the end of the queue: departures that wait in it
// must be stored before a state without them.
func (l *Ledger) storeAll() {
	before := len(l.queue)
	l.cfg.State(func(h Holding) { l.queue = append(l.queue, &Entry{holding: &h, at: l.cfg.Now()}) })
	l.rewrite, l.held, l.stored = false, len(l.queue)-before, 0
	if l.held == 0 {
		l.queue = append(l.queue, &Entry{at: l.cfg.Now()})
	}
	l.first, l.last = l.queue[before], l.queue[len(l.queue)-1]
}

// record returns the next record, of the first entries of the queue.
func (l *Ledger) record() *wire.Changes {
	l.batch++
	rec := &wire.Changes{Epoch: l.cfg.Epoch, Batch: l.batch, AtMs: uint64(l.cfg.Now().UnixMilli()), Sent: l.sent}
	edges := make(map[wire.Origin]uint64)
	size := 0
	for _, e := range l.queue {
		if l.inFlight == maxEntries || size > maxBytes {
			break
		}
		l.inFlight++
		if h := e.holding; h != nil {
			if h.Edge = 0; h.Origin.Edge != "" {
				if edges[h.Origin] == 0 {
					rec.Edges = append(rec.Edges, h.Origin)
					edges[h.Origin] = uint64(len(rec.Edges))
					size += len(h.Origin.Edge) + 16
				}
				h.Edge = edges[h.Origin]
			}
			rec.Holdings = append(rec.Holdings, h.Holding)
			size += sizeOf(h.Room, h.User, h.Rooms)
		}
		if n := e.news; n != nil {
			rec.News = append(rec.News, *n)
			size += sizeOf(n.Room, n.User, n.Rooms) + sizeOf("", wire.User{}, n.Known)
		}
	}
	return rec
}

// sizeOf returns about how many bytes an entry takes.
func sizeOf(room string, u wire.User, rooms []string) int {
	n := 32 + len(room) + len(u.ID) + len(u.Name)
	for _, r := range rooms {
		n += len(r) + 2
	}
	return n
}

// append stores a record of the first entries of the queue.
func (l *Ledger) append(rec *wire.Changes) {
	l.busy = true
	l.cfg.Log.Append(l.room, l.pos, wire.Marshal(rec), func(pos uint64, err error) {
		l.busy = false
		if err == nil {
			l.committed(pos, rec)
			return
		}
		l.cfg.Logger.Debug("ledger not stored", "err", err)
		l.recover(rec)
	})
}

// committed announces what is stored.
func (l *Ledger) committed(pos uint64, rec *wire.Changes) {
	l.pos = pos
	l.stored += len(rec.Holdings)
	if len(rec.News) > 0 {
		l.cfg.Announcing()
	}
	done := l.queue[:l.inFlight]
	l.queue, l.inFlight = l.queue[l.inFlight:], 0
	for _, e := range done {
		if e == l.first {
			l.oldest = pos
		}
		if e == l.last {
			l.first, l.last = nil, nil
			l.cfg.Log.Purge(l.room, l.oldest, func(_ uint64, err error) {
				if err != nil {
					l.cfg.Logger.Debug("ledger not shortened", "err", err)
				}
			})
		}
		e.finish()
	}
	if len(l.queue) == 0 {
		l.queue = nil
	}
}

func (e *Entry) finish() {
	if f := e.run; f != nil {
		e.run = nil
		f()
	}
}

// recover finds out what became of a record after an append has failed.
func (l *Ledger) recover(rec *wire.Changes) {
	l.busy = true
	l.cfg.Log.Tail(l.room, func(s log.Stored, err error) {
		l.busy = false
		last, known := tailOf(s, err)
		switch {
		case !known:
			l.rest(func() { l.recover(rec) })
			return
		case last.Epoch > l.cfg.Epoch:
			l.giveUp()
			return
		case last.Epoch == l.cfg.Epoch && last.Batch == rec.Batch:
			l.committed(s.Pos, rec)
			return
		case s.Pos != l.pos: // the stream was lost, or restored from a backup
			l.pos, l.rewrite = s.Pos, true
		}
		l.inFlight = 0
		l.rest(nil)
	})
}

// rest waits before the next attempt.
func (l *Ledger) rest(then func()) {
	l.busy = true
	l.announceOverdue()
	l.cfg.After(retryAfter, func() {
		l.busy = false
		if then != nil {
			then()
		}
	})
}

// announceOverdue announces what has waited for too long.
func (l *Ledger) announceOverdue() {
	for _, e := range l.queue {
		if l.cfg.Now().Sub(e.at) < announceAnyway || !l.cfg.Valid() {
			return
		}
		e.finish()
	}
}

// giveUp ends the ledger: another owner has begun, and announces everything from here on.
func (l *Ledger) giveUp() {
	l.over, l.queue, l.inFlight, l.first, l.last = true, nil, 0, nil, nil
	l.cfg.Logger.Info("another owner of the shard has begun", "event", "ledger.over")
}
