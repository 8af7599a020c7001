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
	"github.com/confab-chat/confab/services/room/internal/shard/agreement"
	"github.com/confab-chat/confab/services/room/internal/shard/ledger"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms"
	"github.com/confab-chat/confab/services/room/internal/shard/users"
	"github.com/confab-chat/confab/shared/mailbox"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/partition"
)

const (
	// maxCommands bounds the commands that wait for a shard: 50 ms of work at full load of one
	// shard. Above shedAbove, commands are refused with UNAVAILABLE, which is quick and empties
	// the buffer; beyond maxCommands the client library drops them, and edges repeat them.
	maxCommands = 4096
	shedAbove   = maxCommands * 3 / 4

	// maxReplies bounds the replies of the log that wait: more than the appends and batch reads
	// of a shard that are in flight at once. A dropped reply is a timeout.
	maxReplies = 8192

	// reportEvery is how often a shard updates its report, and requests missing snapshots.
	reportEvery = time.Second

	// detailsEach is how many rooms each shard lists: with 64 shards eight times as many as one
	// page shows of the whole cluster.
	detailsEach = 128
)

// shard is one owned shard: a goroutine that owns its rooms and users.
type shard struct {
	// Static after newShard.
	cfg      Config
	lease    partition.Lease
	commands chan *nats.Msg // filled by NATS, never closed
	replies  chan *nats.Msg // the same
	req      *natsconn.Requester
	cancel   context.CancelFunc // ends the Requester
	done     sync.WaitGroup
	handlers map[string]handler

	roomSub, typingSub, userSub, syncSub *nats.Subscription

	report atomic.Pointer[report] // written by the shard's goroutine

	mailbox *mailbox.Mailbox // bounded by the requests in flight

	// Owned by run.
	startedAt time.Time // static
	now       time.Time
	rooms     *rooms.Set
	users     *users.Set
	ledger    *ledger.Ledger
	sync      snapshotSync
	publisher *publisher.Publisher
	spans     *spans
	tickAt    time.Time
	armed     time.Time // what the timer waits for
	reportAt  time.Time
	ending    bool // stop was called

	reconnects uint64 // of the connection, when news were repeated last
}

type report struct {
	rooms.Report
	online int
}

// newShard returns a shard that is subscribed but not yet started.
func newShard(cfg Config, lease partition.Lease) (*shard, error) {
	s := &shard{
		cfg: cfg, lease: lease,
		commands: make(chan *nats.Msg, maxCommands),
		replies:  make(chan *nats.Msg, maxReplies),
		mailbox:  mailbox.New(),
		now:      time.Now(),
		sync:     snapshotSync{edges: agreement.New()},
	}
	s.startedAt, s.reconnects = s.now, cfg.Conn.Stats().Reconnects
	s.report.Store(&report{})
	var err error
	if s.req, err = natsconn.NewRequester(cfg.Conn, s.replies); err != nil {
		return nil, err
	}
	out := publisher.New(cfg.Conn, cfg.Logger)
	s.publisher = out
	s.spans = newSpans(cfg.Tracer, cfg.Conn, out)
	clock := func() time.Time { return s.now }
	records := log.New(serialRequester{s.req, s.mailbox.Post}, cfg.Appended)
	s.ledger = ledger.New(ledger.Config{
		Shard: lease.Shard, Epoch: lease.Epoch, Log: records, Now: clock,
		After:      func(d time.Duration, f func()) { s.rooms.After(d, f) },
		Logger:     cfg.Logger.With("shard", strconv.Itoa(lease.Shard)),
		Announcing: s.repeatAfterOutage,
		Valid:      func() bool { return lease.Valid(s.now) },
		State: func(put func(ledger.Holding)) {
			s.rooms.States(put)
			s.users.States(put)
		},
	})
	s.rooms = rooms.New(rooms.Config{
		Shard: lease.Shard, Epoch: lease.Epoch, Streams: cfg.Streams,
		Log: records, Publisher: out, Now: clock, Journal: s.ledger,
		Logger:   cfg.Logger.With("shard", strconv.Itoa(lease.Shard)),
		Counters: cfg.Counters, Edges: cfg.Edges,
		SweepEvery: cfg.SweepEvery, IdleAfter: cfg.IdleAfter, Keep: cfg.Keep,
	})
	s.users = users.New(users.Config{
		Shard: lease.Shard, Epoch: lease.Epoch, Scope: cfg.Scope,
		Publisher: out, Now: clock, Edges: cfg.Edges, Journal: s.ledger,
	})
	s.handlers = s.newHandlers()
	if err := s.subscribe(); err != nil {
		s.unsubscribe()
		over, cancel := context.WithCancel(context.Background())
		cancel()
		s.req.Run(over) // unsubscribes its inbox
		return nil, err
	}
	return s, nil
}

func (s *shard) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.done.Go(func() { s.req.Run(ctx) })
	s.done.Go(s.run)
}

const (
	drainWait  = time.Second     // for commands that NATS is delivering
	finishWait = 2 * time.Second // for appends under way
)

// stop takes no more commands, finishes those under way, and ends the goroutine.
func (s *shard) stop() {
	s.drain(drainWait)
	s.mailbox.Post(func() { s.ending = true })
	s.done.Wait()
}

// run is the shard's goroutine. It waits on few channels because each one costs: timers and
// the end wake the mailbox.
func (s *shard) run() {
	defer s.cancel()
	defer s.rooms.Close()
	timer := time.AfterFunc(0, s.mailbox.Wake)
	defer timer.Stop()
	s.startSync()
	s.loadLedger()
	for {
		select {
		case m := <-s.replies:
			s.now = time.Now()
			s.req.Handle(m)
		case m := <-s.commands:
			s.now = time.Now()
			s.handleCommand(m)
		case <-s.mailbox.C():
			s.now = time.Now()
		}
		next := s.step()
		if s.ending {
			s.finish()
			return
		}
		if next != s.armed || !s.now.Before(next) {
			s.armed = next
			timer.Reset(time.Until(next))
		}
	}
}

// step does all work at hand without waiting and returns when there is more to do.
func (s *shard) step() (next time.Time) {
	s.mailbox.Run()
	for n := len(s.replies); n > 0; n-- {
		s.req.Handle(<-s.replies)
	}
	for n := min(len(s.commands), maxCommandBurst); n > 0; n-- {
		s.handleCommand(<-s.commands)
	}
	s.endSync()
	if !s.now.Before(s.tickAt) {
		s.tickAt = s.now.Add(rooms.TickEvery)
		s.tick()
	}
	s.rooms.RunTimers(s.now)
	s.repeatAfterOutage()
	s.ledger.Flush()
	next = s.tickAt
	if due, ok := s.rooms.RunTimers(s.now); ok && due.Before(next) {
		next = due
	}
	if s.sync.active && s.ledger.Loaded() && s.sync.until.Before(next) {
		next = s.sync.until
	}
	return next
}

// maxCommandBurst is how many commands run before the log's replies are handled again.
const maxCommandBurst = 64

func (s *shard) tick() {
	s.rooms.Tick(s.now)
	s.users.Tick(s.now)
	if s.now.Sub(s.reportAt) >= reportEvery {
		s.reportAt = s.now
		s.requestMissing()
		s.updateReport()
	}
}

// updateReport publishes what the shard holds, for heartbeat and telemetry.
func (s *shard) updateReport() {
	s.report.Store(&report{s.rooms.Report(detailsEach), s.users.Online()})
}

// finish runs the commands that have arrived and waits for the appends under way.
func (s *shard) finish() {
	if s.ledger.Loaded() {
		s.finishSync()
	}
	deadline := time.Now().Add(finishWait)
	for len(s.commands) > 0 {
		s.handleCommand(<-s.commands)
	}
	for (s.rooms.Busy() || s.ledger.Waiting()) && time.Now().Before(deadline) {
		select {
		case m := <-s.replies:
			s.now = time.Now()
			s.req.Handle(m)
		case <-s.mailbox.C():
			s.now = time.Now()
		case <-time.After(10 * time.Millisecond):
			s.now = time.Now()
		}
		s.step()
	}
}

// serialRequester runs the callbacks of a Requester on the shard's goroutine. Replies, and
// "no responders" among them, come through Handle and so run there already.
type serialRequester struct {
	req  *natsconn.Requester
	post func(func()) bool
}

func (s serialRequester) Do(subject string, hdr nats.Header, data []byte, timeout time.Duration, done natsconn.Done) {
	s.req.Do(subject, hdr, data, timeout, func(m *nats.Msg, err error) {
		if err == nil || err == nats.ErrNoResponders {
			done(m, err)
			return
		}
		s.post(func() { done(nil, err) })
	})
}

func (s serialRequester) DoMany(subject string, hdr nats.Header, data []byte, timeout time.Duration, each natsconn.Each) {
	s.req.DoMany(subject, hdr, data, timeout, func(m *nats.Msg, err error) bool {
		if err == nil || err == nats.ErrNoResponders {
			return each(m, err)
		}
		s.post(func() { each(nil, err) })
		return false
	})
}
