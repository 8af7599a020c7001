package endpoint_test

import (
	"encoding/json"
	"testing"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
)

func TestJoinSendBroadcast(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	const room = "general"
	news := e.broadcasts(t, room)

	j := e.join(t, room, "ann")
	if j.Code != "" || j.Head != 0 || j.Total != 1 || len(j.Users) != 1 || j.Epoch == 0 {
		t.Fatalf("joined: %+v", j)
	}
	j = e.join(t, room, "bob")
	if j.Total != 2 || j.Users[0].ID != "ann" || j.Users[1].Name != "N bob" {
		t.Fatalf("joined: %+v", j)
	}
	b := next(t, news, "userJoined", func(b *wire.Broadcast) bool { return b.Except == "bob" })
	if b.Event != event.NameUserJoined || b.Total != 2 || b.Room != room {
		t.Errorf("userJoined: %+v", b)
	}

	s := e.send(room, "ann", "c1", "hello")
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
	if again := e.send(room, "ann", "c1", "hello"); again.Seq != 1 || !again.Duplicate || string(again.Message) != string(s.Message) {
		t.Errorf("sent again: %+v", again)
	}
	if other := e.send(room, "ann", "c1", "something else"); other.Code != "CONFLICT" {
		t.Errorf("other content with the same id: %+v", other)
	}
}
