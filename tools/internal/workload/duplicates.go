package workload

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/tools/internal/histories"
)

// AddDuplicates adds a user in the first room. It sends each message over all of conns connections
// at once, spread over urls, and repeats it on each until it is acknowledged there: the message
// must be stored once. Then it sends the same id with another content, which must not be stored,
// and the same id from another user, which must be stored.
func (w *Workload) AddDuplicates(conns int, urls ...string) {
	w.tb.Helper()
	room := w.rooms[0]
	clients := make([]*client.Client, conns)
	for i := range clients {
		clients[i] = w.client(urls[i%len(urls)], "duplicator", func(client.Event) {})
		w.join(clients[i], "duplicator", room)
	}
	other := w.client(urls[0], "other", func(client.Event) {})
	w.join(other, "other", room)
	w.sending.Go(func() {
		for n := 0; w.sendCtx.Err() == nil; n++ {
			w.sendDuplicates(clients, other, room, n)
		}
	})
}

// sendDuplicates sends message n of AddDuplicates.
func (w *Workload) sendDuplicates(clients []*client.Client, other *client.Client, room string, n int) {
	id := fmt.Sprint("duplicate-", n)
	var all sync.WaitGroup
	var firsts atomic.Int64
	for i, c := range clients {
		who := fmt.Sprint("duplicator.", i)
		all.Go(func() {
			if w.attemptUntilOK(c, who, room, id, id).first {
				firsts.Add(1)
			}
		})
	}
	all.Wait()
	if n := firsts.Load(); n > 1 {
		w.tb.Errorf("%s was accepted %d times as if for the first time", id, n)
	}
	if w.sendCtx.Err() != nil {
		return // the message may not be stored
	}
	for {
		o := w.attempt(clients[n%len(clients)], "duplicator", room, id+"-changed", id, id+"-changed")
		if o.kind == histories.OK {
			w.tb.Errorf("%s: another content was accepted", id)
		}
		if o.refusal == code.Conflict || o.kind == histories.OK || w.sendCtx.Err() != nil {
			break
		}
	}
	w.attemptUntilOK(other, "other", room, id+"-other", id)
}

// attemptUntilOK repeats one message until it is acknowledged or sending stops.
func (w *Workload) attemptUntilOK(c *client.Client, who, room, name, id string) (o outcome) {
	for w.sendCtx.Err() == nil {
		if o = w.attempt(c, who, room, name, id, name); o.kind == histories.OK {
			return o
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-w.sendCtx.Done():
		}
	}
	return o
}

// SlowReader returns an OnReceive for which the last of n senders stops reading for d after each
// every messages.
func SlowReader(ctx context.Context, n, every int, d time.Duration) func(sender int) {
	received := 0
	return func(sender int) {
		if sender != n-1 {
			return
		}
		if received++; received%every == 0 {
			select {
			case <-time.After(d):
			case <-ctx.Done():
			}
		}
	}
}
