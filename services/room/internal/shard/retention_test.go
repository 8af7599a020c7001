package shard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
	"github.com/confab-chat/confab/shared/natstest"
)

// A room of which retention has taken the beginning: both ends of what is left are
// right, its numbers go on, and no consumer is made to read it.
func TestHistoryUnderRetention(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Conn(t)
	provision(t, nc, 1)
	o := newOwner(t, srv.Conn(t), presence.ScopeAll, subject.Shard("general"))
	e := newEdge(srv.Conn(t), "e1")
	const sent, kept = 1300, 1000
	for n := range sent {
		if s := e.send("general", "ann", fmt.Sprint(n), "x"); s == nil || s.Seq != uint64(n+1) {
			t.Fatalf("message %d: %+v", n, s)
		}
	}
	tap := srv.Tap(t)
	place := log.RoomOf("general", streams)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), place.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(place.Subject), jetstream.WithPurgeKeep(kept)); err != nil {
		t.Fatal(err)
	}
	const oldest = sent - kept + 1
	page := func(q wire.History) *wire.Messages {
		q.Room = "general"
		m := new(wire.Messages)
		if !e.room(subject.OpHist, "general", &q, m) || m.Code != "" {
			t.Fatalf("%+v: %+v", q, m.Fault)
		}
		return m
	}
	check := func(owner string) {
		for name, c := range map[string]struct {
			q           wire.History
			first, last uint64
			more        bool
		}{
			"newest":                {wire.History{Limit: 50}, sent - 49, sent, true},
			"from the beginning":    {wire.History{HasAfter: true, Limit: 200}, oldest, oldest + 199, true},
			"after a lost one":      {wire.History{HasAfter: true, After: 100, Limit: 10}, oldest, oldest + 9, true},
			"the last page forward": {wire.History{HasAfter: true, After: sent - 5, Limit: 10}, sent - 4, sent, false},
			"the last page back":    {wire.History{Before: oldest + 20, Limit: 200}, oldest, oldest + 19, false},
			"in the middle":         {wire.History{Before: 700, Limit: 100}, 600, 699, true},
		} {
			m := page(c.q)
			if n := len(m.Items); n == 0 || m.Items[0].Seq != c.first || m.Items[n-1].Seq != c.last || m.More != c.more || m.Head != sent {
				t.Errorf("%s, %s: %d items, more %v, head %d", owner, name, n, m.More, m.Head)
			}
		}
		if m := page(wire.History{Before: oldest, Limit: 10}); len(m.Items) > 0 || m.More || m.Oldest != oldest {
			t.Errorf("%s, before everything: %d items, oldest %d", owner, len(m.Items), m.Oldest)
		}
		if m := page(wire.History{HasAfter: true, After: sent, Limit: 10}); len(m.Items) > 0 || m.More {
			t.Errorf("%s, after everything: %d items", owner, len(m.Items))
		}
	}
	check("warm")
	o.release([]int{subject.Shard("general")})
	newOwner(t, srv.Conn(t), presence.ScopeAll, subject.Shard("general"))
	check("cold")
	for _, subj := range tap.Subjects() {
		if strings.Contains(subj, "CONSUMER") && strings.Contains(subj, "LOG_") {
			t.Errorf("a consumer was made: %s", subj)
		}
	}
	// The client ids of the last 1 000 are still known, those of lost ones are not.
	if s := e.send("general", "ann", fmt.Sprint(oldest), "x"); !s.Duplicate || s.Seq != oldest+1 {
		t.Errorf("a repeat within the window: %+v", s)
	}
	if s := e.send("general", "ann", "0", "x"); s.Duplicate || s.Seq != sent+1 {
		t.Errorf("a repeat from before the window: %+v", s)
	}
}
