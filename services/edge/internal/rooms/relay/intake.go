package relay

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/proto/strictjson"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/stream"
	"github.com/confab-chat/confab/shared/mailbox"
	"github.com/confab-chat/confab/shared/natsconn"
)

const (
	// intakeBuffer is the channel that one connection's subscriptions share: half a second
	// at 60 000 messages a second. Messages beyond it are dropped; the hole is detected
	// and repaired.
	intakeBuffer = 32768

	// drainAtOnce is how many messages one turn processes before it flushes the rooms.
	// Longer batches gain nothing.
	drainAtOnce = 512

	// busyPause is how long an intake waits when the loops do not keep up.
	busyPause = 2 * time.Millisecond

	// housekeeping is the interval for work without a deadline of its own.
	housekeeping = time.Second
)

// intake is one NATS connection and the goroutine that owns it, with the shards that
// are assigned to it and their rooms and users. A room's broadcasts and the answers to
// its commands arrive through one channel, so they keep their order.
type intake struct {
	// Static.
	relay    *Relay
	index    int
	nc       *nats.Conn
	in       chan *nats.Msg
	req      *natsconn.Requester
	state    chan nats.Status // changes of nc
	log      *slog.Logger
	handlers map[*nats.Subscription]func(*nats.Msg) // of subscriptions that are not one room's

	// Used by any goroutine; bounded: 64 commands a connection, and one function for
	// each connection or membership that ends.
	mailbox *mailbox.Mailbox

	// Owned by run.
	now        time.Time
	hub        *hub.Hub
	rooms      map[string]*room
	users      [subject.Shards]userTable
	sums       [subject.Shards]sums
	lanes      [kinds][subject.Shards]*lane // nil until needed
	stalled    map[*lane]struct{}
	epochs     [subject.Shards]uint64
	numbers    [subject.Shards]uint64    // wire.Broadcast.Number of the last event
	asking     [subject.Shards]bool      // for events that were missed
	repeated   [subject.Shards]uint64    // wire.Repeated.Number of the last answer
	reconnects uint64                    // of nc, when the events missed were asked for last
	digests    [subject.Shards]time.Time // when the last one arrived
	toFlush    []*room                   // rooms that have something to flush
	spans      []trace.Span              // of the messages that wait for the flush
	withTimer  map[*room]struct{}        // rooms whose stream has something due later
	decoded    wire.Broadcast            // scratch of decodeBroadcast
	reader     strictjson.Reader         // scratch of checkJSON
	out        stream.Out
	repairs    repairs
	idle       []*idling // oldest first
	retries    []*user   // their last UserUp failed
	keptAt     time.Time // of the last housekeeping
	checked    int       // calls of checkOwners
	lostAt     time.Time // when the connection was lost; zero while it is up
	headsAt    time.Time // when to request the heads of all rooms; zero if not due
	timer      *time.Timer
	ending     bool

	counts counts
}

// counts holds an intake's numbers, which any goroutine may read.
type counts struct {
	rooms, users, memberships atomic.Int64
	repaired                  atomic.Uint64 // holes
	lost                      atomic.Uint64 // messages that could not be delivered
}

// run is the intake's goroutine.
func (in *intake) run(ctx context.Context) {
	in.timer = time.NewTimer(housekeeping)
	defer in.timer.Stop()
	for !in.ending {
		source := in.in
		if in.relay.hub.Busy() {
			source = nil // messages wait in the channel, which is bounded
		}
		in.setTimer(source == nil)
		select {
		case m := <-source:
			in.now = time.Now()
			in.noticeReconnect()
			in.dispatch(m)
		case <-in.mailbox.C():
			in.now = time.Now()
		case <-in.timer.C:
			in.now = time.Now()
		case s := <-in.state:
			in.now = time.Now()
			in.onStatus(s)
		case <-ctx.Done():
			in.now = time.Now()
			in.ending = true
		}
		in.turn(source)
	}
}

// turn processes what waits, and then flushes the rooms.
func (in *intake) turn(source chan *nats.Msg) {
	in.mailbox.Run()
	in.noticeReconnect()
	for range drainAtOnce {
		select {
		case m := <-source: // never if it is nil
			in.dispatch(m)
			continue
		default:
		}
		break
	}
	in.runDue()
	for _, r := range in.toFlush {
		r.flushDue = false
		r.hub.Flush()
	}
	clear(in.toFlush)
	in.toFlush = in.toFlush[:0]
	in.endSpans()
}

// setTimer sets the timer for what is due first.
func (in *intake) setTimer(busy bool) {
	next := in.keptAt.Add(housekeeping)
	if busy {
		next = time.Now().Add(busyPause)
	}
	for l := range in.stalled {
		next = earlier(next, l.retryAt)
	}
	for r := range in.withTimer {
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

// runDue runs what is due by now.
func (in *intake) runDue() {
	for l := range in.stalled {
		if !in.now.Before(l.retryAt) || in.now.Sub(in.keptAt) >= housekeeping {
			l.tick()
		}
	}
	for r := range in.withTimer {
		r.tick()
	}
	in.repairs.start(in)
	if in.now.Sub(in.keptAt) >= housekeeping {
		in.keptAt = in.now
		in.dropIdle()
		in.retryUsers()
		in.checkOwners()
	}
	if !in.headsAt.IsZero() && !in.now.Before(in.headsAt) {
		in.headsAt = time.Time{}
		in.askHeads()
	}
}

// dispatch processes one message: an answer or a broadcast.
func (in *intake) dispatch(m *nats.Msg) {
	if in.req.Handle(m) {
		return
	}
	if handler := in.handlers[m.Sub]; handler != nil {
		handler(m)
		return
	}
	in.onRoomBroadcast(m)
}

// kind is what a lane's shard holds.
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

// open returns the number of commands without an answer.
func (in *intake) open() int {
	n := 0
	for _, lanes := range in.lanes {
		for _, l := range lanes {
			if l != nil {
				n += len(l.open) - l.finished
			}
		}
	}
	return n
}
