package session_test

import (
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
)

// The first page answers the join. What is not retained any more is reported as a gap.
func TestReplay(t *testing.T) {
	t.Parallel()
	items := []wire.Item{{Seq: 2, JSON: []byte(`{"n":2}`)}, {Seq: 3, JSON: []byte(`{"n":3}`)}}
	for name, c := range map[string]struct {
		page *wire.Messages
		err  error
		want []string
	}{
		"complete":    {&wire.Messages{Items: items, Oldest: 1, Head: 3}, nil, []string{`"recovered":true`, "roomUsers", `{"n":2}`}},
		"expired":     {&wire.Messages{Items: items[1:], Oldest: 3, Head: 3}, nil, []string{`"recovered":false`, "roomUsers", `"gap"`, `{"n":3}`}},
		"unavailable": {nil, relay.ErrUnavailable, []string{"UNAVAILABLE"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.live = 3
			w.says(`joinRoom {"roomId":"r","since":1}`)
			w.answer("join r", &wire.Joined{Head: 3}, nil)
			w.wants() // the join waits for the page
			w.answer("hist", c.page, c.err)
			w.wants(c.want...)
			if joined := w.LocalRoom("r") != nil; joined != (c.err == nil) {
				t.Errorf("joined: %v", joined)
			}
		})
	}
}

// A restored session is exact when every room continues behind the last message received.
func TestRestore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rooms []hub.Position
		head  uint64
		err   error
		exact bool
	}{
		"no rooms":       {exact: true},
		"up to date":     {rooms: []hub.Position{{Room: "r", Seq: 3}}, head: 3, exact: true},
		"above the head": {rooms: []hub.Position{{Room: "r", Seq: 4}}, head: 3},
		"refused":        {rooms: []hub.Position{{Room: "r", Seq: 3}}, err: relay.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newUnopened(t)
			var results []bool
			w.Restore(w, c.rooms, func(exact bool) { results = append(results, exact) })
			w.turn()
			for _, room := range c.rooms {
				w.answer("join "+room.Room, &wire.Joined{Head: c.head}, c.err)
			}
			if len(results) != 1 || results[0] != c.exact {
				t.Errorf("results %v, want one %v", results, c.exact)
			}
		})
	}
}

// The token of the fixture is valid for an hour. Heartbeats arm the timer of its end.
func TestTokenExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	end := w.now.Add(time.Hour)
	for w.now.Before(end.Add(-time.Second)) {
		w.now = w.now.Add(time.Second)
		w.turn()
		if w.now.Unix()%60 == 0 {
			w.Heartbeat()
		}
	}
	if w.closed != 0 {
		t.Fatalf("closed with %d before the token's end", w.closed)
	}
	for range 3 {
		w.now = w.now.Add(time.Second)
		w.turn()
	}
	if w.closed != code.CloseTokenExpired {
		t.Errorf("closed with %d after the token's end", w.closed)
	}
}
