package proctest_test

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
)

// text is in every message, so that it can be looked for in logs.
const text = "not-for-logs"

// attempt bounds one try to send; the edge answers within 5 s.
const attempt = 8 * time.Second

// chat is clients who talk without a pause while the test does what it likes to
// the cluster. Everything is recorded and judged at the end.
type chat struct {
	tb    testing.TB
	rec   *history.Recorder
	rooms []string

	talkers []*talker
	stop    context.CancelFunc // of the talking
	talking sync.WaitGroup
	end     context.CancelFunc // of the clients
	running sync.WaitGroup
}

// talker sends to all rooms in turn, and is in all of them.
type talker struct {
	name   string
	c      *client.Client
	count  []atomic.Uint64 // by room: acknowledged
	latest sync.Map        // room: highest seq shown
}

func token(user string) string {
	_, value, _ := strings.Cut(secret, "=")
	return devtoken.Mint([]byte(value), user, user, time.Now(), time.Hour)
}

func newClient(url, user string, onEvent func(client.Event)) *client.Client {
	return client.New(client.Options{
		URL: url, BackoffMin: 20 * time.Millisecond, BackoffMax: 300 * time.Millisecond, OnEvent: onEvent,
		Token: func(context.Context) (string, error) { return token(user), nil },
	})
}

// startChat starts a talker at each url, all in the same rooms.
func startChat(tb testing.TB, rooms int, urls ...string) *chat {
	tb.Helper()
	ctx, end := context.WithCancel(context.Background())
	talk, stop := context.WithCancel(ctx)
	ch := &chat{tb: tb, rec: history.NewRecorder(), end: end, stop: stop}
	tb.Cleanup(func() { stop(); ch.talking.Wait(); end(); ch.running.Wait() })
	for i := range rooms {
		ch.rooms = append(ch.rooms, fmt.Sprintf("room-%d", i))
	}
	for i, url := range urls {
		t := &talker{name: fmt.Sprintf("talker-%d", i), count: make([]atomic.Uint64, rooms)}
		t.c = newClient(url, t.name, func(e client.Event) { ch.event(t, e) })
		ch.talkers = append(ch.talkers, t)
		ch.running.Go(func() {
			if err := t.c.Run(ctx); err != nil {
				tb.Errorf("%s: %v", t.name, err)
			}
		})
		for _, room := range ch.rooms {
			ch.rec.Add(history.Event{Kind: history.Sub, Client: t.name, Room: room})
			ch.join(ctx, t, room)
		}
	}
	for _, t := range ch.talkers {
		for i := range ch.rooms {
			ch.talking.Go(func() { ch.talk(talk, t, i) })
		}
	}
	return ch
}

// join repeats until the room is joined: while the cluster starts that is unavailable.
func (ch *chat) join(ctx context.Context, t *talker, room string) {
	ch.tb.Helper()
	eventually(ch.tb, func() error {
		ctx, cancel := context.WithTimeout(ctx, attempt)
		defer cancel()
		_, err := t.c.JoinSince(ctx, room, 0)
		if err != nil && code.Of(err) != code.Unavailable && !errors.Is(err, client.ErrLost) && ctx.Err() == nil {
			ch.tb.Fatalf("%s joins %s: %v", t.name, room, err)
		}
		return err
	})
}

func (ch *chat) event(t *talker, e client.Event) {
	switch e.Name {
	case "receiveMessage":
		var m client.Message
		if err := json.Unmarshal(e.Data, &m); err != nil {
			ch.tb.Errorf("%s: %v", t.name, err)
			return
		}
		ch.rec.Add(history.Event{Kind: history.Recv, Client: t.name, Room: e.Room, ID: m.Content, Seq: m.Seq})
		t.latest.Store(e.Room, m.Seq)
	case "gap":
		var g struct{ From, To uint64 }
		if err := json.Unmarshal(e.Data, &g); err != nil {
			ch.tb.Errorf("%s: %v", t.name, err)
			return
		}
		ch.rec.Add(history.Event{Kind: history.Gap, Client: t.name, Room: e.Room, Seq: g.From, To: g.To})
	}
}

// pace is the time between two messages of one talker in one room.
const pace = 10 * time.Millisecond

// talk sends one message after another, each until its outcome is known.
func (ch *chat) talk(ctx context.Context, t *talker, i int) {
	room := ch.rooms[i]
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		id := fmt.Sprintf("%s-%s-%d-%s", text, t.name, n, room)
		for {
			ch.rec.Add(history.Event{Kind: history.Invoke, Client: t.name, Room: room, ID: id})
			try, cancel := context.WithTimeout(context.WithoutCancel(ctx), attempt)
			sent, err := t.c.TrySend(try, room, id, id)
			cancel()
			if err == nil {
				ch.rec.Add(history.Event{Kind: history.OK, Client: t.name, Room: room, ID: id, Seq: sent.Message.Seq})
				t.count[i].Add(1)
				break
			}
			ch.failed(t, room, id, err)
			if ctx.Err() != nil {
				return
			}
			<-tick.C
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// failed notes an attempt that failed: unknown, or refused for good. NOT_IN_ROOM
// comes while a client has a new connection and has not joined again.
func (ch *chat) failed(t *talker, room, id string, err error) {
	kind := history.Info
	if refused, ok := errors.AsType[*code.Error](err); ok && !refused.Code.Unknown() {
		kind = history.Fail
		if refused.Code != code.NotInRoom {
			ch.tb.Errorf("%s in %s: %v", t.name, room, err)
		}
	}
	ch.rec.Add(history.Event{Kind: kind, Client: t.name, Room: room, ID: id})
}

// progress waits until everybody's messages are acknowledged in every room, twice:
// the first may have been under way before. It returns how long that took.
func (ch *chat) progress() time.Duration {
	ch.tb.Helper()
	before := make([][]uint64, len(ch.talkers))
	for i, t := range ch.talkers {
		for r := range ch.rooms {
			before[i] = append(before[i], t.count[r].Load())
		}
	}
	took := eventually(ch.tb, func() error {
		for i, t := range ch.talkers {
			for r, room := range ch.rooms {
				if t.count[r].Load() < before[i][r]+2 {
					return fmt.Errorf("%s is stuck in %s after %d messages", t.name, room, before[i][r])
				}
			}
		}
		return nil
	})
	return took.Round(time.Millisecond)
}

// verdict ends the talking, reads what is stored, and judges.
func (ch *chat) verdict() {
	ch.tb.Helper()
	ch.stop()
	ch.talking.Wait()
	total := 0
	for _, room := range ch.rooms {
		log := ch.read(room)
		ch.rec.Add(history.Event{Kind: history.Final, Room: room, Log: log})
		total += len(log)
		if len(log) == 0 || log[0].Seq != 1 {
			ch.tb.Errorf("%s begins with %v", room, log[:min(len(log), 1)])
			continue
		}
		last := log[len(log)-1].Seq
		for _, t := range ch.talkers {
			eventually(ch.tb, func() error {
				if seq, _ := t.latest.Load(room); seq != last {
					return fmt.Errorf("%s was shown %v of %s, the last is %d", t.name, seq, room, last)
				}
				return nil
			})
			ch.rec.Add(history.Event{Kind: history.End, Client: t.name, Room: room})
		}
	}
	for i, a := range history.Check(ch.rec.Events()) {
		if ch.tb.Errorf("%v", a); i == 20 {
			ch.tb.Fatal("and more")
		}
	}
	ch.tb.Logf("%d messages in %d rooms", total, len(ch.rooms))
}

// read is a room as its history says.
func (ch *chat) read(room string) (log []history.Entry) {
	ch.tb.Helper()
	after := uint64(0)
	for {
		var page client.History
		eventually(ch.tb, func() (err error) {
			ctx, cancel := context.WithTimeout(context.Background(), attempt)
			defer cancel()
			page, err = ch.talkers[0].c.HistoryAfter(ctx, room, after, 200)
			return err
		})
		for _, m := range page.Messages {
			log = append(log, history.Entry{Seq: m.Seq, ID: m.Content})
			after = m.Seq
		}
		if !page.HasMore {
			return log
		}
	}
}
