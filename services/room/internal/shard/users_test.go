package shard_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/users/presence"
	"github.com/confab-chat/confab/shared/natstest"
)

func (e *edge) user(op subject.UserOp, user string, cmd, reply wire.Message) bool {
	return e.ask(subject.UserCommand(subject.Shard(user), op), cmd, reply)
}

// must sends a command about a user that must succeed.
func (e *edge) must(tb testing.TB, op subject.UserOp, user string, cmd wire.Message) {
	tb.Helper()
	var d wire.Done
	if !e.user(op, user, cmd, &d) || d.Code != "" {
		tb.Fatalf("%s %s: %+v", op, user, d)
	}
}

// all collects what is broadcast to every edge about users.
func (e *edge) all(tb testing.TB) chan *wire.Broadcast {
	tb.Helper()
	got := make(chan *wire.Broadcast, 1000)
	sub, err := e.nc.Subscribe(subject.UserBroadcastAll, func(m *nats.Msg) {
		b := new(wire.Broadcast)
		if wire.Unmarshal(m.Data, b) == nil {
			got <- b
		}
	})
	if err == nil {
		err = e.nc.Flush()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = sub.Unsubscribe() })
	return got
}

func TestPresenceForAll(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	news := e.all(t)
	ann := wire.User{ID: "ann", Name: "Ann"}
	e.must(t, subject.OpUserUp, "ann", &wire.UserUp{Origin: e.origin, User: ann})
	e.must(t, subject.OpUserUp, "ann", &wire.UserUp{Origin: e.origin, User: ann})
	b := next(t, news, "userOnline", named(event.NameUserOnline))
	if b.Except != "ann" || b.Room != "" || b.Epoch == 0 {
		t.Errorf("userOnline: %+v", b)
	}
	var updated event.PresenceUpdated
	e.event(t, ann, event.NameUpdatePresence, `{"status":"busy","customStatus":"in a meeting"}`, &updated)
	if updated.Status != "busy" || updated.CustomStatus != "in a meeting" || updated.Timestamp == 0 {
		t.Errorf("reply: %+v", updated)
	}
	others := next(t, news, "presenceUpdate", named(event.NamePresenceUpdate))
	own := next(t, news, "presenceUpdate to the user", named(event.NamePresenceUpdate))
	if others.Except != "ann" || others.Only != "" || own.Only != "ann" || own.Except != "" || string(own.Data) != string(others.Data) {
		t.Errorf("presenceUpdate: %+v, %+v", others, own)
	}
	var got wire.Presences
	ok := e.user(subject.OpUserGet, "ann", &wire.UserGet{Users: []string{"ann", "nobody"}}, &got)
	if !ok || len(got.Users) != 2 || got.Users[0].Status != "busy" || !got.Users[0].Online || got.Users[1].Online {
		t.Errorf("presences: %+v", got)
	}
	got = wire.Presences{}
	if !e.user(subject.OpUserGet, "ann", &wire.UserGet{Limit: 5}, &got) || len(got.Users) != 1 {
		t.Errorf("online: %+v", got)
	}
	update := func(user, status string) string {
		var m wire.Result
		cmd := wire.Command{User: wire.User{ID: user}, Payload: fmt.Appendf(nil, `{"status":%q}`, status)}
		if !e.user(event.NameUpdatePresence, user, &cmd, &m) {
			t.Fatal("no answer")
		}
		return m.Code
	}
	if refused := update("ann", "dancing"); refused != "BAD_REQUEST" {
		t.Errorf("unknown status: %s", refused)
	}
	if refused := update("zoe", "busy"); refused != "UNAVAILABLE" {
		t.Errorf("status of a user who is offline: %s", refused)
	}
	var d wire.Done
	if !e.user(subject.OpUserGet, "ann", &wire.UserGet{Users: make([]string, 101)}, &d) || d.Code != "BAD_REQUEST" {
		t.Errorf("too many: %+v", d)
	}
	e.must(t, subject.OpUserDown, "ann", &wire.UserDown{Origin: e.origin, User: "ann"})
	next(t, news, "userOffline", named(event.NameUserOffline))
}

func TestPresenceForRooms(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Conn(t)
	provision(t, nc, 1)
	newOwner(t, nc, presence.ScopeRooms, allShards()...)
	e := newEdge(srv.Conn(t), "e1")
	a, b, everybody := e.broadcasts(t, "a"), e.broadcasts(t, "b"), e.all(t)
	ann := wire.User{ID: "ann", Name: "Ann"}
	up := func(rooms ...string) {
		e.must(t, subject.OpUserUp, "ann", &wire.UserUp{Origin: e.origin, User: ann, Rooms: rooms})
	}
	up()
	up("a")
	if on := next(t, a, "userOnline in a", named(event.NameUserOnline)); !slices.Equal(on.Rooms, []string{"a"}) || on.Except != "ann" || on.Room != "a" {
		t.Errorf("userOnline in a: %+v", on)
	}
	up("a", "b")
	if on := next(t, b, "userOnline in b", named(event.NameUserOnline)); !slices.Equal(on.Rooms, []string{"a", "b"}) || on.Room != "b" {
		t.Errorf("userOnline in b: %+v", on)
	}
	e.event(t, ann, event.NameUpdatePresence, `{"status":"away"}`, new(event.PresenceUpdated))
	for name, news := range map[string]chan *wire.Broadcast{"a": a, "b": b} {
		first := next(t, news, "event in "+name, func(*wire.Broadcast) bool { return true })
		if first.Event != event.NamePresenceUpdate || !slices.Equal(first.Rooms, []string{"a", "b"}) {
			t.Errorf("in %s: %+v", name, first)
		}
	}
	own := next(t, everybody, "event to all edges", func(*wire.Broadcast) bool { return true })
	var p event.PresenceUpdate
	if err := json.Unmarshal(own.Data, &p); err != nil || own.Only != "ann" || len(own.Rooms) > 0 || own.Room != "" || p.Status != "away" {
		t.Errorf("to the user: %+v %s", own, own.Data)
	}
	e.must(t, subject.OpUserDown, "ann", &wire.UserDown{Origin: e.origin, User: "ann"})
	next(t, a, "userOffline in a", named(event.NameUserOffline))
	next(t, b, "userOffline in b", named(event.NameUserOffline))
}
