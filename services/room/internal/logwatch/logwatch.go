// Package logwatch checks that the message log stores what is appended, and finds out why when it
// does not. What it knows comes from the appends of this instance, from probes of streams without
// appends, and from JetStream's own state.
package logwatch

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

const (
	// checkEvery is how often streams are checked. One without appends is probed every idleEvery,
	// one that does not store at each check.
	checkEvery = time.Second
	idleEvery  = 5 * time.Second

	// failAfter is how long a stream stores nothing before it counts as failing. A new leader
	// of a stream is elected within some seconds.
	failAfter = 3 * time.Second

	// Replicas are looked at every inspectEvery, and reported when they have been behind for
	// replicaPatience.
	inspectEvery    = 15 * time.Second
	replicaPatience = 30 * time.Second

	// purgeEvery is after how many probes of a stream all but the last one are removed.
	purgeEvery = 100

	// makeTimeout bounds an attempt to make a missing stream again.
	makeTimeout = 10 * time.Second
)

// Options configure a Watch. All are required.
type Options struct {
	Conn    *nats.Conn
	Streams int
	Owned   func() []int                // the shards owned by this instance
	Make    func(context.Context) error // makes the streams that are missing
	Move    func(why string)            // called while no stream has stored anything for failAfter
	Logger  *slog.Logger
}

// Watch checks the streams of the owned shards. Make it with New. Its methods may be called
// concurrently.
type Watch struct {
	// Static.
	Options
	index   map[string]int // of streams, by name
	appends []appends      // by stream; atomic

	mu         sync.Mutex // guards the following
	streams    []stream
	stuckSince time.Time // since when no stream that is checked stores; zero: some does
}

// appends is what happened to the appends of a stream since the last check.
type appends struct{ stored, failed atomic.Bool }

// New returns a Watch. It checks nothing before Run.
func New(o Options) *Watch {
	w := &Watch{Options: o, index: make(map[string]int), appends: make([]appends, o.Streams), streams: make([]stream, o.Streams)}
	for k := range o.Streams {
		w.index[subject.LogStream(k)] = k
		w.streams[k].name = subject.LogStream(k)
	}
	return w
}

// Appended notes the outcome of an append; it is a log.Observer.
func (w *Watch) Appended(stream string, err error) {
	k, known := w.index[stream]
	switch {
	case !known || isConflict(err):
	case err != nil:
		w.appends[k].failed.Store(true)
	case !w.appends[k].stored.Load(): // most of the time it is set already
		w.appends[k].stored.Store(true)
	}
}

// Run checks until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		w.check(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// check checks all streams at once.
func (w *Watch) check(ctx context.Context) {
	probed := w.probed()
	var running sync.WaitGroup
	for k, shard := range probed {
		running.Go(func() { w.checkStream(ctx, k, shard) })
	}
	running.Wait()
	if ctx.Err() != nil {
		return
	}
	missing := w.noteChecked(probed, time.Now())
	if missing {
		w.makeStreams(ctx)
	} else if s := w.State(); s.Stuck {
		w.Move(s.Note)
	}
}

// noteChecked updates what depends on all streams. It reports whether one is missing.
func (w *Watch) noteChecked(probed map[int]int, now time.Time) (missing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stuck := true
	for k := range w.streams {
		s := &w.streams[k]
		if _, owned := probed[k]; !owned {
			*s = stream{name: s.name} // its owner reports it
			continue
		}
		missing, stuck = missing || s.missing, stuck && s.reason != ""
	}
	switch {
	case !stuck:
		w.stuckSince = time.Time{}
	case w.stuckSince.IsZero():
		w.stuckSince = now
	}
	return missing
}

// probed returns the streams of the owned shards, each with one of these shards. An instance
// without shards, perhaps because it could not renew their leases, checks one stream.
func (w *Watch) probed() map[int]int {
	probed := make(map[int]int)
	for _, shard := range w.Owned() {
		if have, ok := probed[shard%w.Streams]; !ok || shard < have {
			probed[shard%w.Streams] = shard
		}
	}
	if len(probed) == 0 {
		probed[0] = 0
	}
	return probed
}

// checkStream updates the state of stream k, which stores shard.
func (w *Watch) checkStream(ctx context.Context, k, shard int) {
	stored, failed := w.appends[k].stored.Swap(false), w.appends[k].failed.Swap(false)
	w.mu.Lock()
	s := w.streams[k]
	w.mu.Unlock()
	now := time.Now()
	was := s.failing(now)
	switch {
	case stored:
		s.works(now)
	case failed || s.reason != "" || now.Sub(s.storedAt) >= idleEvery:
		if err := log.Probe(ctx, w.Conn, shard); err == nil {
			s.works(time.Now())
			w.purge(ctx, &s, shard)
		} else if ctx.Err() == nil {
			s.diagnose(ctx, w.Conn, now, err)
		}
	}
	if now.Sub(s.inspectedAt) >= inspectEvery && s.reason == "" {
		s.inspect(ctx, w.Conn, now)
	}
	switch fails := s.failing(time.Now()); {
	case fails == was || ctx.Err() != nil:
	case !fails:
		w.Logger.Info("message log stores again", "event", "log.stores", "stream", s.name)
	default:
		w.Logger.Error("message log does not store", "event", "log.failing", "stream", s.name, "reason", s.reason)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.streams[k] = s
}

// purge removes the probes of a stream now and then.
func (w *Watch) purge(ctx context.Context, s *stream, shard int) {
	if s.probes++; s.probes%purgeEvery != 0 {
		return
	}
	if err := log.PurgeProbes(ctx, w.Conn, s.name, shard); err != nil {
		w.Logger.Debug("probes not removed", "event", "log.probes", "err", err)
	}
}

// makeStreams makes missing streams again.
func (w *Watch) makeStreams(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, makeTimeout)
	defer cancel()
	if err := w.Make(ctx); err != nil {
		w.Logger.Error("missing streams not made", "event", "log.make", "err", err)
		return
	}
	w.Logger.Error("missing streams of the message log were made again; what they stored is lost", "event", "log.made")
}
