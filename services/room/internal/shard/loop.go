package shard

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/services/room/internal/publisher"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms"
	"github.com/confab-chat/confab/services/room/internal/shard/users"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/partition"
)

const (
	// mailbox is what may wait for a shard: 50 ms of work at full load, spread over
	// 64 shards far more. From shedAt on commands are refused with UNAVAILABLE, which
	// is quick and empties it; beyond the mailbox the client library drops, which
	// edges take for silence and repeat.
	mailbox = 4096
	shedAt  = mailbox * 3 / 4

	// replies holds answers of the log: more than the appends and batch reads of a
	// shard have on their way at once. One that is dropped is a timeout.
	replies = 8192

	// reportEvery and detailsEvery are how often a shard says what it holds.
	reportEvery  = time.Second
	detailsEvery = 5 * time.Second

	// detailsEach is how many rooms each shard lists: with 64 shards eight times what
	// is shown of the whole cluster on one page.
	detailsEach = 128
)

// loop is one owned shard.
type loop struct {
	// Static after newLoop.
	cfg      Config
	lease    partition.Lease
	commands chan *nats.Msg // filled by NATS, never closed
	replies  chan *nats.Msg // the same
	req      *natsconn.Requester
	cancel   context.CancelFunc // ends the Requester
	done     sync.WaitGroup
	table    map[string]command

	roomSub, typingSub, userSub, syncSub *nats.Subscription

	report atomic.Pointer[report] // written by the loop

	posts  posts
	ending atomic.Bool // set by stop

	// Owned by the loop's goroutine.
	now       time.Time
	rooms     *rooms.Shard
	users     *users.Shard
	sync      syncing
	out       *publisher.Bus
	spans     *spans
	tickAt    time.Time
	armed     time.Time // what the timer waits for
	reportAt  time.Time
	detailsAt time.Time
}

type report struct {
	rooms.Report
	online int
}

// posts are functions for the loop from other goroutines. There are no more of
// them than requests in flight.
type posts struct {
	mu   sync.Mutex // guards list
	list []func()
	wake chan struct{} // capacity 1, never closed
}

func (p *posts) add(f func()) {
	p.mu.Lock()
	p.list = append(p.list, f)
	p.mu.Unlock()
	p.ring()
}

// ring has the loop look what there is to do.
func (p *posts) ring() {
	select {
	case p.wake <- struct{}{}:
	default: // a wake-up is on its way already
	}
}

func (p *posts) take() []func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.list
	p.list = nil
	return list
}

// newLoop makes the loop of a shard, subscribed but not yet started.
func newLoop(cfg Config, lease partition.Lease) (*loop, error) {
	l := &loop{
		cfg: cfg, lease: lease,
		commands: make(chan *nats.Msg, mailbox),
		replies:  make(chan *nats.Msg, replies),
		posts:    posts{wake: make(chan struct{}, 1)},
		now:      time.Now(),
	}
	l.report.Store(&report{})
	var err error
	if l.req, err = natsconn.NewRequester(cfg.Conn, l.replies); err != nil {
		return nil, err
	}
	out := publisher.New(cfg.Conn, cfg.Logger)
	l.out = out
	l.spans = newSpans(cfg.Tracer, cfg.Conn, out)
	clock := func() time.Time { return l.now }
	l.rooms = rooms.NewShard(rooms.Config{
		Shard: lease.Shard, Epoch: lease.Epoch, Streams: cfg.Streams,
		Log: log.New(serial{l.req, l.posts.add}), Bus: out, Now: clock,
		Logger: cfg.Logger.With("shard", strconv.Itoa(lease.Shard)),
		Count:  cfg.Count, Edges: cfg.Edges,
		SweepEvery: cfg.SweepEvery, IdleAfter: cfg.IdleAfter, Keep: cfg.Keep,
	})
	l.users = users.NewShard(users.Config{
		Shard: lease.Shard, Epoch: lease.Epoch, Scope: cfg.Scope,
		Bus: out, Now: clock, Edges: cfg.Edges,
	})
	l.table = l.commandTable()
	if err := l.subscribe(); err != nil {
		l.unsubscribe()
		over, cancel := context.WithCancel(context.Background())
		cancel()
		l.req.Run(over) // takes back its inbox
		return nil, err
	}
	return l, nil
}

func (l *loop) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.done.Go(func() { l.req.Run(ctx) })
	l.done.Go(l.run)
}

const (
	drainWait  = time.Second     // for commands that NATS has on the way to us
	finishWait = 2 * time.Second // for appends under way
)

// stop takes no more commands, lets what is under way finish, and ends the loop.
func (l *loop) stop() {
	l.drain(drainWait)
	l.ending.Store(true)
	l.posts.ring()
	l.done.Wait()
}

// run is the loop. It waits for few channels, because each of them costs: what is
// due, posted, or the end rings.
func (l *loop) run() {
	defer l.cancel()
	timer := time.AfterFunc(0, l.posts.ring)
	defer timer.Stop()
	l.beginSync(false)
	for {
		select {
		case m := <-l.replies:
			l.now = time.Now()
			l.req.Handle(m)
		case m := <-l.commands:
			l.now = time.Now()
			l.command(m)
		case <-l.posts.wake:
			l.now = time.Now()
			if l.ending.Load() {
				l.finish()
				return
			}
		}
		if next := l.step(); next != l.armed || !l.now.Before(next) {
			l.armed = next
			timer.Reset(time.Until(next))
		}
	}
}

// step does what is at hand without waiting and returns when there is more to do.
func (l *loop) step() (next time.Time) {
	for _, f := range l.posts.take() {
		f()
	}
	for n := len(l.replies); n > 0; n-- {
		l.req.Handle(<-l.replies)
	}
	for n := min(len(l.commands), burst); n > 0; n-- {
		l.command(<-l.commands)
	}
	if l.sync.active && !l.now.Before(l.sync.until) {
		l.endSync()
	}
	if !l.now.Before(l.tickAt) {
		l.tickAt = l.now.Add(rooms.TickEvery)
		l.tick()
	}
	next = l.tickAt
	if due, ok := l.rooms.Timers(l.now); ok && due.Before(next) {
		next = due
	}
	if l.sync.active && l.sync.until.Before(next) {
		next = l.sync.until
	}
	return next
}

// burst is how many commands are taken between two looks at the log's answers.
const burst = 64

func (l *loop) tick() {
	back := l.rooms.Tick(l.now)
	if l.users.Tick(l.now) || back {
		l.resync()
	}
	if l.now.Sub(l.reportAt) >= reportEvery {
		l.reportAt = l.now
		l.tell()
	}
}

// tell publishes what the shard holds, for heartbeat and telemetry.
func (l *loop) tell() {
	details := 0
	if l.now.Sub(l.detailsAt) >= detailsEvery {
		l.detailsAt, details = l.now, detailsEach
	}
	rep := &report{l.rooms.Report(details), l.users.Online()}
	if details == 0 {
		rep.Details = l.report.Load().Details
	}
	l.report.Store(rep)
}

// finish works off what has arrived and waits for the appends under way.
func (l *loop) finish() {
	l.endSync()
	deadline := time.Now().Add(finishWait)
	for len(l.commands) > 0 {
		l.command(<-l.commands)
	}
	for l.rooms.Busy() && time.Now().Before(deadline) {
		select {
		case m := <-l.replies:
			l.now = time.Now()
			l.req.Handle(m)
		case <-l.posts.wake:
			l.now = time.Now()
		case <-time.After(10 * time.Millisecond):
			l.now = time.Now()
		}
		l.step()
	}
}

// serial makes the callbacks of a Requester run on the loop's goroutine. Replies,
// and "no responders" among them, come through Handle, so they do already.
type serial struct {
	req  *natsconn.Requester
	post func(func())
}

func (s serial) Do(subject string, hdr nats.Header, data []byte, timeout time.Duration, done natsconn.Done) {
	s.req.Do(subject, hdr, data, timeout, func(m *nats.Msg, err error) {
		if err == nil || err == nats.ErrNoResponders {
			done(m, err)
			return
		}
		s.post(func() { done(nil, err) })
	})
}

func (s serial) DoMany(subject string, hdr nats.Header, data []byte, timeout time.Duration, each natsconn.Each) {
	s.req.DoMany(subject, hdr, data, timeout, func(m *nats.Msg, err error) bool {
		if err == nil || err == nats.ErrNoResponders {
			return each(m, err)
		}
		s.post(func() { each(nil, err) })
		return false
	})
}
