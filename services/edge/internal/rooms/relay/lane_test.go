package relay_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay/relaytest"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

// send asks the owner to store a message; the outcome comes on the channel.
func (e *edge) send(room, id string, within time.Duration) chan error {
	got := make(chan error, 2) // room for the second outcome that must not come
	m := wire.Send{Room: room, User: wire.User{ID: "ann"}, ClientID: id, Type: "TEXT", Content: id}
	e.RoomCommand(subject.Shard(room), subject.OpSend, &m, nil, time.Now().Add(within), func(reply []byte, err error) {
		var s wire.Sent
		got <- relay.Unpack(reply, err, &s)
	})
	return got
}

// texts are the contents stored in a room, in order.
func (e *edge) texts(room string) (all []string) {
	var got []received
	e.owner.View(room, func(r *relaytest.Room) {
		for _, it := range r.Items {
			got = append(got, parse(e.tb, it.JSON))
		}
	})
	for _, m := range got {
		all = append(all, m.Data.Content)
	}
	return all
}

func TestCommandsKeepTheirOrderWhileThereIsNoOwner(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.owner.Vanish()
	before := e.published() // a Tap would count as a subscriber
	outcomes := []chan error{e.send("r", "0", 10*time.Second)}
	eventually.True(t, "it is refused, and tried again", func() bool { return e.published() >= before+2 })
	for i := range 199 {
		if i == 100 {
			e.owner.Serve()
		}
		outcomes = append(outcomes, e.send("r", fmt.Sprint(i+1), 10*time.Second))
	}
	for i, got := range outcomes {
		if err := <-got; err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	for i, text := range e.texts("r") {
		if text != fmt.Sprint(i) {
			t.Fatalf("position %d holds message %s", i, text)
		}
	}
	if stored := len(e.texts("r")); stored != 200 {
		t.Errorf("%d stored, want 200", stored)
	}
	// In the dark one is tried at a time.
	if n := e.published() - before; n > 2*200 {
		t.Errorf("%d requests for 200 commands", n)
	}
}

// published is how many messages the edge has sent.
func (e *edge) published() (n uint64) {
	for _, nc := range e.conns {
		n += nc.Stats().OutMsgs
	}
	return n
}

func TestCommandsWaitForNATS(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.gate.Cut()
	first, second := e.send("r", "first", 10*time.Second), e.send("r", "second", 10*time.Second)
	e.gate.Open()
	if err := errors.Join(<-first, <-second); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(e.texts("r")); got != "[first second]" {
		t.Errorf("stored %s", got)
	}
}

func TestCommandWithoutAnswerIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, carryOut := range map[string]bool{"the request was lost": false, "the answer was lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t)
			e.owner.Silence(func(c relaytest.Command) bool { return c.Op == "send" }, carryOut)
			got := e.send("r", "once", 10*time.Second)
			eventually.True(t, "the request comes", func() bool { return len(e.owner.SeenOp("send")) > 0 })
			e.owner.Silence(nil, false)
			if err := <-got; err != nil {
				t.Fatal(err)
			}
			if stored := e.texts("r"); len(stored) != 1 {
				t.Errorf("stored %v", stored)
			}
		})
	}
}

// givenUpWithin is how much later than its deadline a command may be given up: without an owner
// the edge looks at it when it tries again, at the latest every 400 ms.
const givenUpWithin = 400 * time.Millisecond

func TestCommandIsGivenUpAtItsDeadline(t *testing.T) {
	for name, spoil := range map[string]func(*edge){
		"no owner":   func(e *edge) { e.owner.Vanish() },
		"no answer":  func(e *edge) { e.owner.Silence(func(relaytest.Command) bool { return true }, false) },
		"no nats":    func(e *edge) { e.gate.Cut() },
		"blackholed": func(e *edge) { e.gate.Blackhole(natstest.Both) },
	} {
		t.Run(name, func(t *testing.T) {
			natstest.VirtualTime(t, func(t *testing.T) {
				const patience = 300 * time.Millisecond
				e := start(t)
				spoil(e)
				begin := time.Now()
				err := <-e.send("r", "x", patience)
				if took := time.Since(begin); took > patience+givenUpWithin || !errors.Is(err, relay.ErrUnavailable) {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

func TestRefusalComesThrough(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.owner.Refuse(code.New(code.Conflict, "used for something else"))
	if err := <-e.send("r", "x", time.Second); code.Of(err) != code.Conflict {
		t.Errorf("send: %v", err)
	}
	if _, err := e.member("ann", 0).ask("r"); code.Of(err) != code.Conflict {
		t.Errorf("join: %v", err)
	}
	eventually.True(t, "the failed join is taken back", func() bool { return len(e.owner.SeenOp("leave")) == 1 })
}

func TestJoinThatIsGivenUpIsTakenBack(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.owner.Silence(func(c relaytest.Command) bool { return c.Op == "join" }, true)
	ann := e.member("ann", 0)
	got := make(chan error, 1)
	e.Join(relay.JoinRequest{Room: "r", User: &ann.User, Loop: ann.loop, Deadline: time.Now().Add(200 * time.Millisecond)},
		func(_ relay.Seat, err error) { got <- err })
	if err := <-got; !errors.Is(err, relay.ErrUnavailable) {
		t.Fatalf("join: %v", err)
	}
	eventually.True(t, "the owner counts no member", func() bool {
		return len(e.owner.SeenOp("leave")) > 0 && len(e.owner.Members("r")) == 0
	})
}

func TestRefusalTellsNothingOfOurInsides(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want code.Code
	}{
		"in time":   {relay.ErrUnavailable, code.Unavailable},
		"busy":      {relay.ErrBusy, code.Unavailable},
		"malformed": {relay.ErrReply, code.Internal},
		"its own":   {code.New(code.NotFound, "no such message"), code.NotFound},
	} {
		if got := relay.Refusal(c.err); got.Code != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A leave that was not answered is not repeated once the user is back.
func TestLateLeaveDoesNotRemoveWhoIsBack(t *testing.T) {
	t.Parallel()
	e := start(t)
	ann := e.member("ann", 0)
	ann.join("r")
	e.owner.SilenceOp("leave")
	ann.leave("r", 0)
	eventually.True(t, "the leave goes out", func() bool { return len(e.owner.SeenOp("leave")) == 1 })
	ann.join("r")
	e.owner.SilenceOp("")
	ctx, cancel := context.WithTimeout(t.Context(), eventually.Patience())
	defer cancel()
	e.Flush(ctx)
	if n := len(e.owner.SeenOp("leave")); n != 1 || len(e.owner.Members("r")) != 1 {
		t.Errorf("%d leaves, members %v", n, e.owner.Members("r"))
	}
}

func TestLateDownIsNotRepeated(t *testing.T) {
	t.Parallel()
	e := start(t)
	ann := e.member("ann", 0)
	e.UserOpened(&ann.User, 0, nil)
	eventually.True(t, "the owner knows", func() bool { return len(e.owner.SeenOp("up")) == 1 })
	e.owner.SilenceOp("down")
	e.UserClosed("ann", 0)
	eventually.True(t, "the presencePatience goes out", func() bool { return len(e.owner.SeenOp("down")) == 1 })
	e.UserOpened(&ann.User, 0, nil)
	eventually.True(t, "the owner knows again", func() bool { return len(e.owner.SeenOp("up")) == 2 })
	if n := len(e.owner.SeenOp("down")); n != 1 {
		t.Errorf("%d goodbyes", n)
	}
}
