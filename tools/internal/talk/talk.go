// Package talk is clients who chat without a pause while a test does what it likes
// to the cluster. What they send and are shown is recorded, and judged at the end by
// package history.
package talk

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
	"github.com/confab-chat/confab/tools/internal/history"
	"github.com/confab-chat/confab/tools/internal/proc"
)

// Text is in every message, so that it can be looked for in logs.
const Text = "not-for-logs"

// Attempt bounds one request; the edge answers within 5 s.
const Attempt = 8 * time.Second

// Options say who talks. URLs is required.
type Options struct {
	URLs  []string      // of native doors: one talker each, all of them in all rooms
	Rooms int           // default 1
	Pace  time.Duration // between two messages of a talker in a room; default 10 ms
	Bytes int           // of filling in each message
	// OnShown, when not nil, runs for each message that a talker is shown, on the
	// goroutine that reads its connection.
	OnShown func(talker int)
}

// Talk is a conversation that goes on until Verdict. It belongs to the test's
// goroutine, but for Events.
type Talk struct {
	tb    testing.TB
	opts  Options
	rec   *history.Recorder
	rooms []string
	urls  []string

	talkers []*talker
	viewers []*viewer
	stop    context.CancelFunc // of the talking
	talking sync.WaitGroup
	end     context.CancelFunc // of the clients
	running sync.WaitGroup
	ctx     context.Context // until end
	talk    context.Context // until stop
}

// talker sends to all rooms in turn, and is in all of them.
type talker struct {
	name   string
	c      *client.Client
	count  []atomic.Uint64 // by room: acknowledged
	latest sync.Map        // room: highest seq shown
	lost   atomic.Uint64   // connections
	shown  func()
}

// Token is a user's, for a cluster of package proc.
func Token(user string) string {
	_, value, _ := strings.Cut(proc.Secret, "=")
	return devtoken.Mint([]byte(value), user, user, time.Now(), time.Hour)
}

// NewClient is a user's client, which comes back soon when its connection is lost.
func NewClient(url, user string, onEvent func(client.Event)) *client.Client {
	return client.New(client.Options{
		URL: url, BackoffMin: 20 * time.Millisecond, BackoffMax: 300 * time.Millisecond, OnEvent: onEvent,
		Token: func(context.Context) (string, error) { return Token(user), nil },
	})
}

// Start starts a talker at each url, all in the same rooms.
func Start(tb testing.TB, rooms int, urls ...string) *Talk {
	tb.Helper()
	return StartWith(tb, Options{URLs: urls, Rooms: rooms})
}

// StartWith starts a conversation that ends with the test.
func StartWith(tb testing.TB, o Options) *Talk {
	tb.Helper()
	o.Rooms = max(o.Rooms, 1)
	if o.Pace == 0 {
		o.Pace = 10 * time.Millisecond
	}
	k := &Talk{tb: tb, opts: o, rec: history.NewRecorder(), urls: o.URLs}
	k.ctx, k.end = context.WithCancel(context.Background())
	k.talk, k.stop = context.WithCancel(k.ctx)
	tb.Cleanup(func() { k.stop(); k.talking.Wait(); k.end(); k.running.Wait() })
	for i := range o.Rooms {
		k.rooms = append(k.rooms, fmt.Sprintf("room-%d", i))
	}
	for i, url := range o.URLs {
		k.enter(i, url)
	}
	for _, t := range k.talkers {
		for i := range k.rooms {
			k.talking.Go(func() { k.say(k.talk, t, i) })
		}
	}
	return k
}

// enter connects a talker and has it join all rooms.
func (k *Talk) enter(i int, url string) {
	k.tb.Helper()
	t := &talker{name: fmt.Sprintf("talker-%d", i), count: make([]atomic.Uint64, len(k.rooms)), shown: func() {}}
	if k.opts.OnShown != nil {
		t.shown = func() { k.opts.OnShown(i) }
	}
	t.c = k.client(url, t.name, func(e client.Event) { k.event(t, e) })
	k.talkers = append(k.talkers, t)
	for _, room := range k.rooms {
		k.rec.Add(history.Event{Kind: history.Sub, Client: t.name, Room: room})
		k.join(t.c, t.name, room)
	}
}

// client runs a client until the end.
func (k *Talk) client(url, user string, onEvent func(client.Event)) *client.Client {
	c := NewClient(url, user, onEvent)
	k.running.Go(func() {
		if err := c.Run(k.ctx); err != nil {
			k.tb.Errorf("%s: %v", user, err)
		}
	})
	return c
}

// join repeats until the room is joined: while the cluster starts that is unavailable.
func (k *Talk) join(c *client.Client, name, room string) {
	k.tb.Helper()
	proc.Eventually(k.tb, func() error {
		ctx, cancel := context.WithTimeout(k.ctx, Attempt)
		defer cancel()
		_, err := c.JoinSince(ctx, room, 0)
		if err != nil && code.Of(err) != code.Unavailable && !errors.Is(err, client.ErrLost) && ctx.Err() == nil {
			k.tb.Fatalf("%s joins %s: %v", name, room, err)
		}
		return err
	})
}

func (k *Talk) event(t *talker, e client.Event) {
	switch e.Name {
	case "receiveMessage":
		var m client.Message
		if err := json.Unmarshal(e.Data, &m); err != nil {
			k.tb.Errorf("%s: %v", t.name, err)
			return
		}
		k.rec.Add(history.Event{Kind: history.Recv, Client: t.name, Room: e.Room, ID: nameOf(m.Content), Seq: m.Seq})
		t.latest.Store(e.Room, m.Seq)
		t.shown()
	case client.Disconnected:
		t.lost.Add(1)
	case "gap":
		var g struct{ From, To uint64 }
		if err := json.Unmarshal(e.Data, &g); err != nil {
			k.tb.Errorf("%s: %v", t.name, err)
			return
		}
		k.rec.Add(history.Event{Kind: history.Gap, Client: t.name, Room: e.Room, Seq: g.From, To: g.To})
		t.latest.Store(e.Room, g.To)
	}
}

// nameOf is the message's name in the history: the first word of its content.
func nameOf(content string) string {
	name, _, _ := strings.Cut(content, " ")
	return name
}

// Progress waits until everybody's messages are acknowledged in every room, twice:
// the first may have been under way before. It returns how long that took.
func (k *Talk) Progress() time.Duration {
	k.tb.Helper()
	before := make([][]uint64, len(k.talkers))
	for i, t := range k.talkers {
		for r := range k.rooms {
			before[i] = append(before[i], t.count[r].Load())
		}
	}
	took := proc.Eventually(k.tb, func() error {
		for i, t := range k.talkers {
			for r, room := range k.rooms {
				if t.count[r].Load() < before[i][r]+2 {
					return fmt.Errorf("%s is stuck in %s after %d messages", t.name, room, before[i][r])
				}
			}
		}
		return nil
	})
	return took.Round(time.Millisecond)
}

// Acknowledged is how many messages have been acknowledged so far.
func (k *Talk) Acknowledged() (n uint64) {
	for _, t := range k.talkers {
		for i := range t.count {
			n += t.count[i].Load()
		}
	}
	return n
}

// Lost is how often a talker has lost its connection.
func (k *Talk) Lost(talker int) uint64 { return k.talkers[talker].lost.Load() }

// Events is what was recorded so far.
func (k *Talk) Events() []history.Event { return k.rec.Events() }
