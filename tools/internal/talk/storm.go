package talk

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/tools/internal/history"
)

// Storm adds a user in the first room who sends each message from all of conns
// connections at once, spread over urls, each of them again and again until it is
// acknowledged there: it must be stored once. Then the same id comes with another
// content, which must not be stored, and from another user, which must.
func (k *Talk) Storm(conns int, urls ...string) {
	k.tb.Helper()
	room := k.rooms[0]
	crowd := make([]*client.Client, conns)
	for i := range crowd {
		crowd[i] = k.client(urls[i%len(urls)], "stormer", func(client.Event) {})
		k.join(crowd[i], "stormer", room)
	}
	other := k.client(urls[0], "other", func(client.Event) {})
	k.join(other, "other", room)
	k.talking.Go(func() {
		for n := 0; k.talk.Err() == nil; n++ {
			k.gust(crowd, other, room, n)
		}
	})
}

// gust is one message of a storm.
func (k *Talk) gust(crowd []*client.Client, other *client.Client, room string, n int) {
	id := fmt.Sprint("storm-", n)
	var all sync.WaitGroup
	var firsts atomic.Int64
	for i, c := range crowd {
		who := fmt.Sprint("stormer.", i)
		all.Go(func() {
			if k.until(c, who, room, id, id).first {
				firsts.Add(1)
			}
		})
	}
	all.Wait()
	if n := firsts.Load(); n > 1 {
		k.tb.Errorf("%s was accepted %d times as if for the first time", id, n)
	}
	if k.talk.Err() != nil {
		return // it may not be stored
	}
	for {
		o := k.attempt(k.talk, crowd[n%len(crowd)], "stormer", room, id+"-changed", id, id+"-changed")
		if o.kind == history.OK {
			k.tb.Errorf("%s: another content was accepted", id)
		}
		if o.refusal == code.Conflict || o.kind == history.OK || k.talk.Err() != nil {
			break
		}
	}
	k.until(other, "other", room, id+"-other", id)
}

// until repeats one message until it is acknowledged, or the talking ends.
func (k *Talk) until(c *client.Client, who, room, name, id string) (o outcome) {
	for k.talk.Err() == nil {
		if o = k.attempt(k.talk, c, who, room, name, id, name); o.kind == history.OK {
			return o
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-k.talk.Done():
		}
	}
	return o
}

// Sleepy is an OnShown that holds up the last of n talkers: it reads nothing for d
// after each every messages.
func Sleepy(ctx context.Context, n, every int, d time.Duration) func(talker int) {
	shown := 0
	return func(talker int) {
		if talker != n-1 {
			return
		}
		if shown++; shown%every == 0 {
			select {
			case <-time.After(d):
			case <-ctx.Done():
			}
		}
	}
}
