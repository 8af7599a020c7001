package relay

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/stream"
	"github.com/confab-chat/confab/shared/natsconn"
)

const (
	// intakeBuffer is what one connection's subscriptions share: half a second at
	// 60 000 messages a second. What comes beyond it is lost, seen as a hole, and repaired.
	intakeBuffer = 32768

	// drainAtOnce is how many messages are taken before members are given their
	// share: batches that long gain nothing any more.
	drainAtOnce = 512

	// busyPause is how long an intake leaves the loops alone when they do not keep up.
	busyPause = 2 * time.Millisecond

	// housekeeping is the time between two looks at what has no deadline of its own.
	housekeeping = time.Second
)

// intake is one NATS connection and the goroutine that owns it, with the rooms,
// users and shards that are hashed to it. What a room is told and the answers to
// its commands come through one channel, so they keep their order.
type intake struct {
	// Static.
	relay *Relay
	index int
	nc    *nats.Conn
	in    chan *nats.Msg
	req   *natsconn.Requester
	state chan nats.Status // changes of nc
	log   *slog.Logger
	told  map[*nats.Subscription]func(*nats.Msg) // what is not about one room

	mail mail // from everybody

	// Owned by run.
	now     time.Time
	hub     *hub.Hub
	rooms   map[string]*room
	users   [subject.Shards]userTable
	lanes   [kinds][subject.Shards]*lane // nil until needed
	dark    map[*lane]struct{}
	epochs  [subject.Shards]uint64
	digests [subject.Shards]time.Time // when the last one came
	touched []*room                   // brought something since the last flush
	spans   []trace.Span              // of the messages that wait for it
	timed   map[*room]struct{}
	heard   wire.Broadcast // the last one
	out     stream.Out
	repairs repairs
	idle    []*idling // oldest first
	retries []*user   // whose last UserUp failed
	joins   registrations
	kept    time.Time // of the last housekeeping
	lostAt  time.Time // when the connection was lost; zero: it is up
	headsAt time.Time // when to ask for the heads of all rooms; zero: not
	timer   *time.Timer
	ending  bool

	counts counts
}

// counts is what others may read of an intake.
type counts struct {
	rooms, users, memberships atomic.Int64
	repaired                  atomic.Uint64 // holes
	gaps                      atomic.Uint64 // messages that are gone
	refusedLate               atomic.Uint64 // broadcasts of an older epoch
}

// mail is a queue of functions for the intake's goroutine. It has no bound of its
// own; its producers have: 64 commands a connection, and one note for each
// connection or membership that ends.
type mail struct {
	wake chan struct{} // capacity 1: something came; never closed

	mu   sync.Mutex // guards the following
	fns  []func()
	shut bool
}

// post runs fn on the intake's goroutine, behind everything posted before. It
// returns false, and fn does not run, when the relay has ended.
func (in *intake) post(fn func()) bool {
	in.mail.mu.Lock()
	defer in.mail.mu.Unlock()
	if in.mail.shut {
		return false
	}
	in.mail.fns = append(in.mail.fns, fn)
	select {
	case in.mail.wake <- struct{}{}:
	default: // awake already
	}
	return true
}

func (m *mail) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	fns := m.fns
	m.fns = nil
	return fns
}

// close makes every later post fail, and returns what was posted before.
func (m *mail) close() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shut = true
	return m.fns
}

// run is the intake's goroutine.
func (in *intake) run(ctx context.Context) {
	in.timer = time.NewTimer(housekeeping)
	defer in.timer.Stop()
	for !in.ending {
		source := in.in
		if in.relay.hub.Busy() {
			source = nil // what is not fetched waits in the channel, which is bounded
		}
		in.arm(source == nil)
		select {
		case m := <-source:
			in.now = time.Now()
			in.handle(m)
		case <-in.mail.wake:
			in.now = time.Now()
		case <-in.timer.C:
			in.now = time.Now()
		case s := <-in.state:
			in.now = time.Now()
			in.connection(s)
		case <-ctx.Done():
			in.now = time.Now()
			in.ending = true
		}
		in.turn(source)
	}
}

// turn does what waits, and then gives the rooms' members their share.
func (in *intake) turn(source chan *nats.Msg) {
	for _, fn := range in.mail.take() {
		fn()
	}
	for range drainAtOnce {
		select {
		case m := <-source: // never, when it is nil
			in.handle(m)
			continue
		default:
		}
		break
	}
	in.expire()
	for _, r := range in.touched {
		r.touched = false
		r.hub.Flush()
	}
	clear(in.touched)
	in.touched = in.touched[:0]
	in.endSpans()
}

// arm sets the timer for what is due first.
func (in *intake) arm(busy bool) {
	next := in.kept.Add(housekeeping)
	if busy {
		next = time.Now().Add(busyPause)
	}
	for l := range in.dark {
		next = earlier(next, l.retry)
	}
	for r := range in.timed {
		if at, ok := r.stream.Next(); ok {
			next = earlier(next, at)
		}
	}
	if at, ok := in.repairs.next(); ok {
		next = earlier(next, at)
	}
	if !in.headsAt.IsZero() {
		next = earlier(next, in.headsAt)
	}
	in.timer.Reset(max(0, time.Until(next)))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// expire does what is due by now.
func (in *intake) expire() {
	for l := range in.dark {
		if !in.now.Before(l.retry) || in.now.Sub(in.kept) >= housekeeping {
			l.tick()
		}
	}
	for r := range in.timed {
		r.tick()
	}
	in.repairs.start(in)
	if in.now.Sub(in.kept) >= housekeeping {
		in.kept = in.now
		in.dropIdle()
		in.retryUsers()
	}
	in.joins.start(in)
	if !in.headsAt.IsZero() && !in.now.Before(in.headsAt) {
		in.headsAt = time.Time{}
		in.askHeads()
	}
}

// handle takes one message: an answer, or something that is told to all edges.
func (in *intake) handle(m *nats.Msg) {
	if in.req.Handle(m) {
		return
	}
	if told := in.told[m.Sub]; told != nil {
		told(m)
		return
	}
	in.broadcast(m)
}

// kind says what the shards of a lane are of.
type kind uint8

const (
	roomShard kind = iota
	userShard
	kinds
)

// lane returns the lane to the owner of a shard.
func (in *intake) lane(k kind, shard int) *lane {
	l := in.lanes[k][shard]
	if l == nil {
		l = &lane{in: in}
		in.lanes[k][shard] = l
	}
	return l
}

func (in *intake) darkened(l *lane)   { in.dark[l] = struct{}{} }
func (in *intake) brightened(l *lane) { delete(in.dark, l) }

// open is the number of commands that are not answered yet.
func (in *intake) open() int {
	n := 0
	for _, lanes := range in.lanes {
		for _, l := range lanes {
			if l != nil {
				n += len(l.open) - l.gone
			}
		}
	}
	return n
}
