package relay_test

import (
	"context"
	"log/slog"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

// lines counts what is logged about malformed messages.
type lines struct {
	slog.Handler
	n atomic.Int32
}

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "event" && a.Value.String() == "relay.malformed" {
			l.n.Add(1)
		}
		return true
	})
	return nil
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }

// Whatever is published where owners broadcast, clients receive only well-formed frames. The rest
// is counted, logged once, and disturbs nothing.
func TestMalformedBroadcastsAreDropped(t *testing.T) {
	t.Parallel()
	logged := &lines{Handler: slog.DiscardHandler}
	e := start(t, func(o *relay.Options) { o.Logger = slog.New(logged) })
	m := e.member("ann", 0)
	m.join("r")
	record := func(jsons ...string) []byte {
		rec := wire.Record{First: 1, Room: "r"}
		for _, j := range jsons {
			rec.Entries = append(rec.Entries, wire.Entry{User: "u", JSON: []byte(j)})
		}
		return wire.Marshal(&rec)
	}
	forged := []wire.Broadcast{
		{Event: "userTyping", Data: []byte(`{"userId":`)},
		{Event: "userTyping", Data: []byte("{\"userId\":\"\xff\"}")},
		{Event: "userTyping", Data: []byte(`{"a":1},{"b":2}`)},
		{Event: "userTyping", Data: []byte(`null`)},
		{Event: "userTyping"},
		{Event: `a","data":{}}`, Data: []byte(`{}`)},
		{Event: "a\xff", Data: []byte(`{}`)},
		{Data: []byte(`{}`)},
		{Record: []byte("forty random bytes, or fewer")},
		{Record: record(`{"id":"1"}`, `{"id":`)},
		{Record: record("{\"id\":\"\xc3\"}")},
	}
	nc := natstest.Conn(t, e.srv)
	publish := func(subj string, data []byte) {
		if err := nc.Publish(subj, data); err != nil {
			t.Fatal(err)
		}
	}
	toRoom, toUsers := subject.RoomBroadcast(subject.Shard("r"), subject.Token("r")), subject.UserBroadcast(subject.Shard("ann"))
	dropped := uint64(2)
	publish(toRoom, []byte{0xff})
	publish(subject.Head(subject.Shard("r")), []byte{0xff})
	for _, b := range forged {
		b.Epoch, b.Room = 1, "r"
		publish(toRoom, wire.Marshal(&b))
		dropped++
		if b.Record == nil {
			b.Room = ""
			publish(toUsers, wire.Marshal(&b))
			dropped++
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	e.owner.Say("r", "bob", "hello")
	e.owner.Broadcast(wire.Broadcast{Room: "r", Event: "laterRelease", Data: []byte(`{"x":1}`)})
	e.owner.Broadcast(wire.Broadcast{Except: "ann2", Event: "userOnline", Data: []byte(`{"userId":"bob"}`)})
	received := map[string]int{}
	for _, f := range m.wait("what is well-formed", atLeast(3)) {
		received[f.String()]++
	}
	if want := map[string]int{"1": 1, "laterRelease ": 1, "userOnline bob": 1}; !maps.Equal(received, want) {
		t.Errorf("received %v, want %v", received, want)
	}
	eventually.Equal(t, "malformed messages", dropped, func() uint64 { return e.Counts().Malformed })
	if n := logged.n.Load(); n != 1 {
		t.Errorf("%d lines were logged, want 1", n)
	}
}
