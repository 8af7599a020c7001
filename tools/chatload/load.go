package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/client"
)

// maxInFlight bounds sends that wait for their acknowledgement; a due message that
// finds no place waits, and its latency shows it.
const maxInFlight = 4096

// settle is how long members may take to catch up after the last send.
const settle = 10 * time.Second

// load is one run. Counters are atomic; histograms are guarded by their mutex.
type load struct {
	opts    options
	start   time.Time
	members []*member
	heads   []atomic.Uint64 // highest acknowledged seq of each room

	accepted, failed, limited, reconnects atomic.Int64

	acceptMu sync.Mutex
	accept   *hdrhistogram.Histogram // microseconds
}

// member is one client and what it got.
type member struct {
	c    *client.Client
	room int
	from uint64 // seq at joining: later ones are expected

	connects atomic.Int64
	last     atomic.Uint64 // highest seq it got
	got      atomic.Int64

	mu      sync.Mutex // guards deliver; its events come on one goroutine, progress reads
	deliver *hdrhistogram.Histogram
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }

// run connects, sends for the duration, waits for the stragglers, and sums up.
func run(ctx context.Context, o options, progress io.Writer) (summary, error) {
	l := &load{opts: o, accept: newHistogram(), heads: make([]atomic.Uint64, o.rooms)}
	clientsCtx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	if err := l.connect(clientsCtx, &running, progress); err != nil {
		return summary{}, err
	}
	l.start = time.Now()
	done := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() { l.report(progress, done) })
	l.send(ctx)
	elapsed := time.Since(l.start)
	l.settle(ctx)
	close(done)
	reporter.Wait()
	return l.sum(elapsed), ctx.Err()
}

// connect opens the clients one after another, and joins their rooms.
func (l *load) connect(ctx context.Context, running *sync.WaitGroup, progress io.Writer) error {
	for i := range l.opts.clients {
		m := &member{room: i % l.opts.rooms, deliver: newHistogram()}
		m.c = client.New(client.Options{URL: l.opts.url, Token: tokenSource(l.opts, i), OnEvent: func(e client.Event) { l.event(m, e) }})
		l.members = append(l.members, m)
		ended := make(chan error, 1)
		running.Go(func() { ended <- m.c.Run(ctx) })
		joinCtx, cancel := context.WithTimeout(ctx, 30*time.Second)
		joined, err := m.c.Join(joinCtx, room(m.room))
		cancel()
		if err != nil {
			select {
			case why := <-ended:
				err = errors.Join(err, why)
			default:
			}
			return fmt.Errorf("client %d: %w", i, err)
		}
		m.from = joined.Seq
		raise(&l.heads[m.room], joined.Seq)
		if (i+1)%1000 == 0 {
			fmt.Fprintf(progress, "%d clients connected\n", i+1)
		}
	}
	return nil
}

func room(i int) string { return "load-" + strconv.Itoa(i) }

// event is called in order for one member.
func (l *load) event(m *member, e client.Event) {
	switch e.Name {
	case client.Connected:
		if m.connects.Add(1) > 1 {
			l.reconnects.Add(1)
		}
	case "receiveMessage":
		m.last.Store(e.Seq)
		m.got.Add(1)
		var msg client.Message
		if json.Unmarshal(e.Data, &msg) != nil {
			return
		}
		if due, ok := dueOf(msg.Content); ok {
			m.mu.Lock()
			_ = m.deliver.RecordValue(max(1, time.Since(l.start.Add(due)).Microseconds())) // out of range counts nowhere
			m.mu.Unlock()
		}
	}
}

// send keeps the rate until the duration is over, then waits for what is in flight.
func (l *load) send(ctx context.Context) {
	sendCtx, cancel := context.WithTimeout(ctx, l.opts.duration+settle)
	defer cancel()
	places := make(chan struct{}, maxInFlight)
	var sends sync.WaitGroup
	gap := time.Duration(float64(time.Second) / l.opts.rate)
	for n := 0; ; n++ {
		due := time.Duration(n) * gap
		if due >= l.opts.duration || ctx.Err() != nil {
			break
		}
		time.Sleep(due - time.Since(l.start))
		places <- struct{}{}
		m := l.members[n%len(l.members)]
		sends.Go(func() {
			defer func() { <-places }()
			l.one(sendCtx, m, due)
		})
	}
	sends.Wait()
}

func (l *load) one(ctx context.Context, m *member, due time.Duration) {
	id, content := rand.Text(), l.content(due)
	sent, err := m.c.TrySend(ctx, room(m.room), content, id)
	if refused, ok := errors.AsType[*code.Error](err); ok && refused.Code == code.RateLimited {
		l.limited.Add(1) // an open loop does not wait for its turn
		return
	}
	if err != nil {
		sent, err = m.c.SendID(ctx, room(m.room), content, id)
	}
	if err != nil {
		l.failed.Add(1)
		return
	}
	l.accepted.Add(1)
	raise(&l.heads[m.room], sent.Message.Seq)
	l.acceptMu.Lock()
	defer l.acceptMu.Unlock()
	_ = l.accept.RecordValue(max(1, time.Since(l.start.Add(due)).Microseconds())) // out of range counts nowhere
}

// content says when the message was due, in microseconds of the run, and is filled up.
func (l *load) content(due time.Duration) string {
	head := fmt.Sprintf("due %d ", due.Microseconds())
	return head + strings.Repeat("x", max(1, l.opts.size-len(head)))
}

func dueOf(content string) (time.Duration, bool) {
	rest, ok := strings.CutPrefix(content, "due ")
	digits, _, _ := strings.Cut(rest, " ")
	us, err := strconv.ParseInt(digits, 10, 64)
	return time.Duration(us) * time.Microsecond, ok && err == nil
}

// settle waits until every member has what its room has acknowledged.
func (l *load) settle(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(settle); time.Now().Before(deadline) && ctx.Err() == nil; <-tick.C {
		behind := false
		for _, m := range l.members {
			behind = behind || m.last.Load() < l.heads[m.room].Load() && m.from < l.heads[m.room].Load()
		}
		if !behind {
			return
		}
	}
}

// report prints a line a second until done.
func (l *load) report(w io.Writer, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var accepted, delivered int64
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			a, d := l.accepted.Load(), l.delivered()
			fmt.Fprintf(w, "%4.0f s  %6d accepted/s  %8d delivered/s  %d failed  %d reconnects\n",
				time.Since(l.start).Seconds(), a-accepted, d-delivered, l.failed.Load(), l.reconnects.Load())
			accepted, delivered = a, d
		}
	}
}

func (l *load) delivered() (n int64) {
	for _, m := range l.members {
		n += m.got.Load()
	}
	return n
}

func (l *load) sum(elapsed time.Duration) summary {
	s := summary{
		Clients: l.opts.clients, Rooms: l.opts.rooms, Seconds: elapsed.Seconds(),
		Accepted: l.accepted.Load(), Failed: l.failed.Load(), Limited: l.limited.Load(), Reconnects: l.reconnects.Load(),
		Delivered: l.delivered(),
	}
	deliver := newHistogram()
	for _, m := range l.members {
		expected := int64(l.heads[m.room].Load() - min(m.from, l.heads[m.room].Load()))
		s.Expected += expected
		s.Lost += max(0, expected-m.got.Load())
		m.mu.Lock()
		deliver.Merge(m.deliver)
		m.mu.Unlock()
	}
	s.Accept, s.Deliver = quantiles(l.accept), quantiles(deliver)
	return s
}

func quantiles(h *hdrhistogram.Histogram) latency {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return latency{ms(h.ValueAtQuantile(50)), ms(h.ValueAtQuantile(90)), ms(h.ValueAtQuantile(99)), ms(h.Max())}
}

// raise sets v to n when n is higher.
func raise(v *atomic.Uint64, n uint64) {
	for old := v.Load(); old < n && !v.CompareAndSwap(old, n); old = v.Load() {
	}
}
