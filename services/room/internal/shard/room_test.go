package shard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logcheck"
	"github.com/confab-chat/confab/services/room/internal/shard"
	"github.com/confab-chat/confab/services/room/internal/shard/request"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms"
	"github.com/confab-chat/confab/services/room/internal/shard/users"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

func TestJoinSendBroadcast(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	const room = "a room/with: odd.name"
	const general = "general"
	news := e.broadcasts(t, general)

	j := e.join(t, general, "ann")
	if j.Code != "" || j.Head != 0 || j.Total != 1 || len(j.Users) != 1 || j.Epoch == 0 {
		t.Fatalf("joined: %+v", j)
	}
	j = e.join(t, general, "bob")
	if j.Total != 2 || j.Users[0].ID != "ann" || j.Users[1].Name != "N bob" {
		t.Fatalf("joined: %+v", j)
	}
	b := next(t, news, "userJoined", func(b *wire.Broadcast) bool { return b.Except == "bob" })
	if b.Event != event.NameUserJoined || b.Total != 2 || b.Room != general {
		t.Errorf("userJoined: %+v", b)
	}

	s := e.send(general, "ann", "c1", "hello")
	if s == nil || s.Code != "" || s.Seq != 1 || s.Duplicate {
		t.Fatalf("sent: %+v", s)
	}
	var m event.Message
	if err := json.Unmarshal(s.Message, &m); err != nil || m.Content != "hello" || m.Author.Name != "N ann" || m.Seq != 1 {
		t.Errorf("message: %+v, %v", m, err)
	}
	b = next(t, news, "message", func(b *wire.Broadcast) bool { return b.Record != nil })
	var rec wire.Record
	if err := wire.Unmarshal(b.Record, &rec); err != nil || string(rec.Entries[0].JSON) != string(s.Message) || rec.First != 1 {
		t.Errorf("record: %+v, %v", rec, err)
	}
	if again := e.send(general, "ann", "c1", "hello"); again.Seq != 1 || !again.Duplicate || string(again.Message) != string(s.Message) {
		t.Errorf("sent again: %+v", again)
	}
	if other := e.send(general, "ann", "c1", "something else"); other.Code != "CONFLICT" {
		t.Errorf("other content with the same id: %+v", other)
	}
	if bad := e.send(room, "ann", "c1", "hello"); bad.Code != "BAD_REQUEST" {
		t.Errorf("a room name that cannot be: %+v", bad)
	}
}

// Every command gets its answer through NATS.
func TestCommands(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	const room = "general"
	news := e.broadcasts(t, room)
	e.join(t, room, "ann")
	e.join(t, room, "bob")
	ann := wire.User{ID: "ann", Name: "Ann"}
	sent := e.send(room, "ann", "c1", "one")
	e.send(room, "bob", "c2", "two")
	var m event.Message
	if err := json.Unmarshal(sent.Message, &m); err != nil {
		t.Fatal(err)
	}

	var page wire.Messages
	if !e.room(subject.OpHist, room, &wire.History{Room: room, Limit: 10}, &page) || len(page.Items) != 2 || page.More || page.Head != 2 || page.Oldest != 1 {
		t.Errorf("history: %+v", page)
	}
	var receipt event.MessageReadReply
	e.event(t, ann, event.NameMessageRead, fmt.Sprintf(`{"roomId":%q,"messageId":%q}`, room, m.ID), &receipt)
	if receipt.ReadReceipt.Seq != 1 {
		t.Errorf("receipt: %+v", receipt)
	}
	next(t, news, "messageReadUpdate", named(event.NameMessageReadUpdate))

	if err := e.nc.Publish(subject.RoomTyping(subject.Shard(room)), wire.Marshal(&wire.Typing{Room: room, User: ann, On: true})); err != nil {
		t.Fatal(err)
	}
	next(t, news, "userTyping", named(event.NameUserTyping))
	var stats event.RoomStatsRetrieved
	e.event(t, ann, event.NameGetRoomStats, fmt.Sprintf(`{"roomId":%q}`, room), &stats)
	if stats.UserCount != 2 || len(stats.TypingUsers) != 1 {
		t.Errorf("stats: %+v", stats)
	}
	var heads wire.Digest
	if !e.room(subject.OpHeads, room, &wire.Heads{Rooms: []string{room}}, &heads) || len(heads.Heads) != 1 || heads.Heads[0].Seq != 2 {
		t.Errorf("heads: %+v", heads)
	}
	var done wire.Done
	if !e.room(subject.OpLeave, room, &wire.Leave{Origin: e.origin, Room: room, User: "bob"}, &done) || done.Code != "" {
		t.Errorf("leave: %+v", done)
	}
	if b := next(t, news, "userLeft", named(event.NameUserLeft)); b.Total != 1 {
		t.Errorf("userLeft: %+v", b)
	}
}

// statsOf is a getRoomStats on its way to the owner.
func statsOf(room string) []byte {
	return wire.Marshal(&wire.Command{User: wire.User{ID: "ann"}, Payload: fmt.Appendf(nil, `{"roomId":%q}`, room)})
}

// A catalog event has a rule when the catalog says that it is forwarded, and else none.
func TestEveryForwardedEventHasARule(t *testing.T) {
	t.Parallel()
	rules := map[event.Route][]request.Rule{
		event.RouteRoom: new(rooms.Set).Rules(), event.RouteUser: new(users.Set).Rules(),
	}
	for _, def := range event.Catalog() {
		for route, list := range rules {
			i := slices.IndexFunc(list, func(r request.Rule) bool { return r.Event == def.Name })
			switch {
			case (i >= 0) != (def.Route == route):
				t.Errorf("%s: route %d, and a rule on route %d: %v", def.Name, def.Route, route, i >= 0)
			case i >= 0 && reflect.TypeOf(list[i].Payload) != reflect.TypeOf(def.Payload()):
				t.Errorf("%s: its rule takes a %T", def.Name, list[i].Payload)
			}
			rules[route] = slices.DeleteFunc(list, func(r request.Rule) bool { return r.Event == def.Name })
		}
	}
	for _, list := range rules {
		for _, r := range list {
			t.Errorf("the rule of %s is not in the catalog", r.Event)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	shard := subject.Shard("general")
	other := "elsewhere"
	for i := 0; subject.Shard(other) == shard; i++ {
		other = fmt.Sprint("elsewhere", i)
	}
	for name, c := range map[string]struct {
		subject string
		data    []byte
	}{
		"unknown operation":      {subject.RoomCommand(shard, "dance"), nil},
		"unknown user operation": {subject.UserCommand(shard, "dance"), nil},
		"malformed":              {subject.RoomCommand(shard, subject.OpSend), []byte{0xff}},
		"another shard's room":   {subject.RoomCommand(shard, event.NameGetRoomStats), statsOf(other)},
		"malformed event":        {subject.RoomCommand(shard, event.NameGetRoomStats), []byte{0xff}},
		"event without user":     {subject.RoomCommand(shard, event.NameGetRoomStats), wire.Marshal(&wire.Command{Payload: []byte(`{"roomId":"general"}`)})},
		"event without payload":  {subject.RoomCommand(shard, event.NameGetRoomStats), wire.Marshal(&wire.Command{User: wire.User{ID: "ann"}})},
		"no room":                {subject.RoomCommand(shard, subject.OpJoin), nil},
		"no room id":             {subject.RoomCommand(shard, subject.OpHist), wire.Marshal(&wire.History{Room: "a b"})},
	} {
		m, err := e.nc.Request(c.subject, c.data, 5*time.Second)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var d wire.Done
		if err := wire.Unmarshal(m.Data, &d); err != nil || d.Code != "BAD_REQUEST" {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// The same message from many places at the same time is one message.
func TestConcurrentRepeats(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	const room, senders, messages = "general", 8, 50
	var mu sync.Mutex
	var acks []logcheck.Ack
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for n := range messages {
				cid := fmt.Sprint("m", n)
				s := e.send(room, "ann", cid, "the same")
				if s == nil || s.Code != "" {
					t.Errorf("%s: %+v", cid, s)
					return
				}
				mu.Lock()
				acks = append(acks, logcheck.Ack{Room: room, User: "ann", ClientID: cid, Seq: s.Seq, Message: string(s.Message)})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if stored := logcheck.Verify(t, e.nc, streams, room, acks); len(stored) != messages {
		t.Errorf("%d stored, want %d", len(stored), messages)
	}
}

// fakeEdge answers snapshots with what is in it, and beats until the test ends.
func fakeEdge(tb testing.TB, nc *nats.Conn, o *owner, origin wire.Origin, answer func(shard uint64) []wire.Snapshot) {
	tb.Helper()
	sub, err := nc.Subscribe(subject.EdgesSync, func(m *nats.Msg) {
		var s wire.Sync
		if wire.Unmarshal(m.Data, &s) != nil {
			return
		}
		for _, part := range answer(s.Shard) {
			part.Origin, part.Shard = origin, s.Shard
			_ = m.Respond(wire.Marshal(&part)) // an owner that is gone needs none
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = sub.Unsubscribe() })
	o.edges.Observe(time.Now(), &wire.Heartbeat{Instance: origin.Edge, Gen: origin.Gen})
}

// A new owner asks the edges who is present before it answers requests.
func TestNewOwnerAsksEdges(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Conn(t)
	provision(t, nc, 1)
	const room = "general"
	shard := subject.Shard(room)
	e := newEdge(srv.Conn(t), "e1")
	o := newOwner(t, srv.Conn(t), presence.ScopeAll)
	fakeEdge(t, nc, o, e.origin, func(s uint64) []wire.Snapshot {
		if int(s) != shard {
			return []wire.Snapshot{{Last: true}}
		}
		return []wire.Snapshot{
			{Rooms: []wire.RoomMembers{{Room: room, Users: []wire.User{{ID: "ann", Name: "Ann"}}}}},
			{Rooms: []wire.RoomMembers{{Room: room, Users: []wire.User{{ID: "bob", Name: "Bob"}}}}, Last: true},
		}
	})
	news := e.broadcasts(t, room)
	o.acquire(t, shard)
	if j := e.join(t, room, "cy"); j.Total != 3 || j.Users[0].Name != "Ann" {
		t.Errorf("joined: %+v", j)
	}
	if b := next(t, news, "event", func(b *wire.Broadcast) bool { return true }); b.Except != "cy" {
		t.Errorf("the first event is %s about %s: members of old were announced", b.Event, b.Except)
	}
}

// An edge that does not answer a new owner delays requests by 300 ms.
func TestSilentEdgeDelaysLittle(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		srv := natstest.Start(t)
		nc := srv.Conn(t)
		provision(t, nc, 1)
		o := newOwner(t, srv.Conn(t), presence.ScopeAll)
		fakeEdge(t, nc, o, wire.Origin{Edge: "mute", Gen: 1}, func(uint64) []wire.Snapshot { return nil })
		e := newEdge(srv.Conn(t), "e1")
		o.acquire(t, subject.Shard("general"))
		begin := time.Now()
		if j := e.join(t, "general", "ann"); j.Total != 1 {
			t.Errorf("joined: %+v", j)
		}
		if took := time.Since(begin); took != 300*time.Millisecond {
			t.Errorf("joined after %v", took)
		}
	})
}

func TestWatchEdges(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	o := newOwner(t, srv.Conn(t), presence.ScopeAll)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	nc := srv.Conn(t)
	go func() { done <- shard.WatchEdges(ctx, nc, o.edges) }()
	hb, err := json.Marshal(wire.Heartbeat{Service: wire.ServiceEdge, Instance: "e7", Gen: 9, State: wire.StateOK})
	if err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the edge is known", func() bool {
		for _, data := range [][]byte{[]byte("{"), hb} {
			if err := nc.Publish(subject.Heartbeat(wire.ServiceEdge, "e7"), data); err != nil {
				t.Fatal(err)
			}
		}
		live := o.edges.Live(time.Now())
		return len(live) == 1 && live[0].ID == "e7" && live[0].Gen == 9
	})
	cancel()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
