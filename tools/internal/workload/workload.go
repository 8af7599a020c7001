// Package workload runs clients that send messages without a pause while a test kills and cuts
// off parts of the cluster. What they send and receive is recorded, and package histories checks
// it at the end.
package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/histories"
)

// Text is in every message, so that a test can search logs for it.
const Text = "not-for-logs"

// Attempt bounds one request; the edge answers within 5 s.
const Attempt = 8 * time.Second

// Options describe a workload. URLs is required.
type Options struct {
	URLs     []string      // of edges: one sender each, all of them in all rooms
	Rooms    int           // default 1
	Interval time.Duration // between two messages of a sender in a room; default 10 ms
	Padding  int           // bytes added to each message
	// OnReceive, when not nil, runs for each message that a sender receives, on the goroutine
	// that reads its connection.
	OnReceive func(sender int)
}

// Workload is clients that send until Check. Its methods must be called on the test's goroutine,
// except Events, which may be called concurrently.
type Workload struct {
	// Static after Start.
	tb      testing.TB
	opts    Options
	rec     *histories.Recorder
	rooms   []string
	senders []*sender

	readers []*reader // owned by the test's goroutine

	sendCtx  context.Context // done when sending stops
	stopSend context.CancelFunc
	sending  sync.WaitGroup
	ctx      context.Context // done when the clients stop
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// sender is a member of all rooms and sends to all of them.
type sender struct {
	name         string
	c            *client.Client
	acknowledged []atomic.Uint64 // messages, by room
	received     sync.Map        // highest seq, by room
	disconnects  atomic.Uint64
	onReceive    func()
}

// Token returns a user's token for a cluster of package clustertest.
func Token(user string) string {
	return devtoken.Mint([]byte(clustertest.Secret), user, user, time.Now(), time.Hour)
}

// NewClient returns a user's client, which reconnects soon when its connection is lost.
func NewClient(url, user string, onEvent func(client.Event)) *client.Client {
	return client.New(client.Options{
		URL: url, BackoffMin: 20 * time.Millisecond, BackoffMax: 300 * time.Millisecond, OnEvent: onEvent,
		Token: func(context.Context) (string, error) { return Token(user), nil },
	})
}

// Start starts a sender at each URL, all in the same rooms.
func Start(tb testing.TB, rooms int, urls ...string) *Workload {
	tb.Helper()
	return StartWith(tb, Options{URLs: urls, Rooms: rooms})
}

// StartWith starts a workload that ends with the test.
func StartWith(tb testing.TB, o Options) *Workload {
	tb.Helper()
	o.Rooms = max(o.Rooms, 1)
	if o.Interval == 0 {
		o.Interval = 10 * time.Millisecond
	}
	w := &Workload{tb: tb, opts: o, rec: histories.NewRecorder()}
	w.ctx, w.stop = context.WithCancel(context.Background())
	w.sendCtx, w.stopSend = context.WithCancel(w.ctx)
	tb.Cleanup(func() { w.Stop(); w.stop(); w.running.Wait() })
	for i := range o.Rooms {
		w.rooms = append(w.rooms, fmt.Sprintf("room-%d", i))
	}
	for i, url := range o.URLs {
		w.addSender(i, url)
	}
	for _, t := range w.senders {
		for i := range w.rooms {
			w.sending.Go(func() { w.sendMessages(t, i) })
		}
	}
	return w
}

// addSender connects a sender and has it join all rooms.
func (w *Workload) addSender(i int, url string) {
	w.tb.Helper()
	t := &sender{name: fmt.Sprintf("sender-%d", i), acknowledged: make([]atomic.Uint64, len(w.rooms)), onReceive: func() {}}
	if w.opts.OnReceive != nil {
		t.onReceive = func() { w.opts.OnReceive(i) }
	}
	t.c = w.client(url, t.name, func(e client.Event) { w.recordEvent(t, e) })
	w.senders = append(w.senders, t)
	for _, room := range w.rooms {
		w.rec.Add(histories.Event{Kind: histories.Sub, Client: t.name, Room: room})
		w.join(t.c, t.name, room)
	}
}

// client runs a client until the workload ends.
func (w *Workload) client(url, user string, onEvent func(client.Event)) *client.Client {
	c := NewClient(url, user, onEvent)
	w.running.Go(func() {
		if err := c.Run(w.ctx); err != nil {
			w.tb.Errorf("%s: %v", user, err)
		}
	})
	return c
}

// join joins a room. It repeats while a starting cluster answers that it is unavailable.
func (w *Workload) join(c *client.Client, name, room string) {
	w.tb.Helper()
	eventually.OK(w.tb, name+" joins "+room, func() error {
		ctx, cancel := context.WithTimeout(w.ctx, Attempt)
		defer cancel()
		_, err := c.JoinSince(ctx, room, 0)
		if err != nil && code.Of(err) != code.Unavailable && !errors.Is(err, client.ErrLost) && ctx.Err() == nil {
			w.tb.Fatalf("%s joins %s: %v", name, room, err)
		}
		return err
	})
}

// recordEvent records what a sender receives. It runs on the client's goroutine.
func (w *Workload) recordEvent(t *sender, e client.Event) {
	switch e.Name {
	case "receiveMessage":
		var m client.Message
		if err := json.Unmarshal(e.Data, &m); err != nil {
			w.tb.Errorf("%s: %v", t.name, err)
			return
		}
		w.rec.Add(histories.Event{Kind: histories.Recv, Client: t.name, Room: e.Room, ID: nameOf(m.Content), Seq: m.Seq})
		t.received.Store(e.Room, m.Seq)
		t.onReceive()
	case client.Disconnected:
		t.disconnects.Add(1)
	case "gap":
		var g struct{ From, To uint64 }
		if err := json.Unmarshal(e.Data, &g); err != nil {
			w.tb.Errorf("%s: %v", t.name, err)
			return
		}
		w.rec.Add(histories.Event{Kind: histories.Gap, Client: t.name, Room: e.Room, Seq: g.From, To: g.To})
		t.received.Store(e.Room, g.To)
	}
}

// nameOf returns a message's name in the history: the first word of its content.
func nameOf(content string) string {
	name, _, _ := strings.Cut(content, " ")
	return name
}

// WaitProgress waits until two more messages of each sender are acknowledged in every room: the
// first may have been sent before the call. It returns how long that took.
func (w *Workload) WaitProgress() time.Duration {
	w.tb.Helper()
	before := make([][]uint64, len(w.senders))
	for i, t := range w.senders {
		for r := range w.rooms {
			before[i] = append(before[i], t.acknowledged[r].Load())
		}
	}
	took := eventually.OK(w.tb, "acknowledgements for every sender in every room", func() error {
		for i, t := range w.senders {
			for r, room := range w.rooms {
				if t.acknowledged[r].Load() < before[i][r]+2 {
					return fmt.Errorf("%s is stuck in %s after %d messages", t.name, room, before[i][r])
				}
			}
		}
		return nil
	})
	return took.Round(time.Millisecond)
}

// Disconnects returns how often a sender has lost its connection.
func (w *Workload) Disconnects(sender int) uint64 { return w.senders[sender].disconnects.Load() }

// Events returns what was recorded so far.
func (w *Workload) Events() []histories.Event { return w.rec.Events() }
