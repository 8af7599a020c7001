package workload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/tools/internal/histories"
)

// sendMessages sends one message after another to a room. It repeats each until the message is
// acknowledged.
func (w *Workload) sendMessages(t *sender, i int) {
	room := w.rooms[i]
	padding := ""
	if w.opts.Padding > 0 {
		padding = " " + strings.Repeat("x", w.opts.Padding)
	}
	tick := time.NewTicker(w.opts.Interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		id := fmt.Sprintf("%s-%s-%d-%s", Text, t.name, n, room)
		for {
			if w.attempt(t.c, t.name, room, id, id, id+padding).kind == histories.OK {
				t.acknowledged[i].Add(1)
				break
			}
			if w.sendCtx.Err() != nil {
				return
			}
			<-tick.C
		}
		select {
		case <-w.sendCtx.Done():
			return
		case <-tick.C:
		}
	}
}

// outcome is the result of an attempt.
type outcome struct {
	kind    histories.Kind
	refusal code.Code // if there was one
	first   bool      // accepted, and not as a duplicate
}

// attempt sends the message that the history calls name, once. It records the outcome and
// returns it.
func (w *Workload) attempt(c *client.Client, who, room, name, id, content string) outcome {
	w.rec.Add(histories.Event{Kind: histories.Invoke, Client: who, Room: room, ID: name})
	try, cancel := context.WithTimeout(w.ctx, Attempt)
	defer cancel()
	sent, err := c.TrySend(try, room, content, id)
	if err == nil {
		if got := nameOf(sent.Message.Content); got != name {
			w.tb.Errorf("%s in %s: the answer to %s is message %s", who, room, name, got)
		}
		w.rec.Add(histories.Event{Kind: histories.OK, Client: who, Room: room, ID: name, Seq: sent.Message.Seq})
		return outcome{kind: histories.OK, first: !sent.Duplicate}
	}
	kind := histories.Info
	refused, ok := errors.AsType[*code.Error](err)
	if ok && !refused.Code.Unknown() {
		kind = histories.Fail
		// A client with a new connection gets NOT_IN_ROOM until it has joined again.
		if refused.Code != code.NotInRoom && refused.Code != code.Conflict {
			w.tb.Errorf("%s in %s: %v", who, room, err)
		}
	}
	w.rec.Add(histories.Event{Kind: kind, Client: who, Room: room, ID: name})
	if !ok {
		return outcome{kind: kind}
	}
	return outcome{kind: kind, refusal: refused.Code}
}
