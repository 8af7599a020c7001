package talk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/tools/internal/history"
)

// say sends one message after another, each until its outcome is known.
func (k *Talk) say(ctx context.Context, t *talker, i int) {
	room := k.rooms[i]
	filling := ""
	if k.opts.Bytes > 0 {
		filling = " " + strings.Repeat("x", k.opts.Bytes)
	}
	tick := time.NewTicker(k.opts.Pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		id := fmt.Sprintf("%s-%s-%d-%s", Text, t.name, n, room)
		for {
			if k.attempt(ctx, t.c, t.name, room, id, id, id+filling).kind == history.OK {
				t.count[i].Add(1)
				break
			}
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

// outcome is what came of an attempt.
type outcome struct {
	kind    history.Kind
	refusal code.Code // if there was one
	first   bool      // accepted, and not as a duplicate
}

// attempt is one try to send the message that the history calls name. It returns
// what came of it, which is recorded.
func (k *Talk) attempt(ctx context.Context, c *client.Client, who, room, name, id, content string) outcome {
	k.rec.Add(history.Event{Kind: history.Invoke, Client: who, Room: room, ID: name})
	try, cancel := context.WithTimeout(context.WithoutCancel(ctx), Attempt)
	defer cancel()
	sent, err := c.TrySend(try, room, content, id)
	if err == nil {
		if got := nameOf(sent.Message.Content); got != name {
			k.tb.Errorf("%s in %s: %s is answered with message %s", who, room, name, got)
		}
		k.rec.Add(history.Event{Kind: history.OK, Client: who, Room: room, ID: name, Seq: sent.Message.Seq})
		return outcome{kind: history.OK, first: !sent.Duplicate}
	}
	kind := history.Info
	refused, ok := errors.AsType[*code.Error](err)
	if ok && !refused.Code.Unknown() {
		kind = history.Fail
		// NOT_IN_ROOM comes while a client has a new connection and has not joined again.
		if refused.Code != code.NotInRoom && refused.Code != code.Conflict {
			k.tb.Errorf("%s in %s: %v", who, room, err)
		}
	}
	k.rec.Add(history.Event{Kind: kind, Client: who, Room: room, ID: name})
	if !ok {
		return outcome{kind: kind}
	}
	return outcome{kind: kind, refusal: refused.Code}
}
