package rooms_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/services/room/internal/shard/request"
)

func TestTyping(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.beat("e1", 1, wire.StateOK)
	s.join("e1", "r", "ann")
	s.join("e1", "r", "bob")
	s.heard()
	on := func(user string, on bool) { s.Typing(&wire.Typing{Room: "r", User: person(user), On: on}) }
	on("ann", true)
	on("ann", true)
	on("stranger", true)
	on("bob", false)
	s.hears("userTyping ann")
	if st := s.stats("r"); len(st.TypingUsers) != 1 || st.UserCount != 2 || s.Report(1).Typing != 1 {
		t.Errorf("stats: %+v, report %+v", st, s.Report(1))
	}
	s.pass(4*time.Second, "e1")
	on("ann", true) // a renewal
	s.pass(4*time.Second, "e1")
	s.hears()
	s.pass(2*time.Second, "e1")
	s.hears("userTyping ann") // it expired

	on("ann", true)
	s.send("r", "ann", "c1")
	s.hears("userTyping ann", "userTyping ann", "") // by sending
	on("bob", true)
	s.leave("e1", "r", "bob", 0)
	s.hears("userTyping bob", "userTyping bob", "userLeft bob")
	if n := s.Report(0).Typing; n != 0 {
		t.Errorf("%d type", n)
	}
}

func TestMessageRead(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.beat("e1", 1, wire.StateOK)
	s.join("e1", "r", "ann")
	var ids []string
	for i := range 3 {
		var m event.Message
		if err := json.Unmarshal(s.send("r", "ann", fmt.Sprint(i)).Message, &m); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	s.heard()
	read := func(user, id string) (event.ReadReceipt, string) {
		var reply event.MessageReadReply
		m := s.result(user, event.NameMessageRead, fmt.Sprintf(`{"roomId":"r","messageId":%q}`, id), &reply)
		return reply.ReadReceipt, m.Code
	}
	other := event.MessageID("other", 1, 0, "ann")
	for _, id := range []string{"nonsense", other, event.MessageID("r", 99, 0, "ann")} {
		if r, refused := read("ann", id); refused != "NOT_FOUND" {
			t.Errorf("reading %q: %+v %s", id, r, refused)
		}
	}
	for i, id := range ids {
		want := event.ReadReceipt{MessageID: id, UserID: "bob", Username: "N bob", Seq: uint64(i + 1), ReadAt: event.At(s.world.Now)}
		if r, refused := read("bob", id); r != want {
			t.Errorf("receipt %d: %+v %s", i, r, refused)
		}
	}
	lookBack := func() {
		t.Helper()
		if r, refused := read("bob", ids[0]); r.Seq != 3 || r.MessageID != ids[2] {
			t.Errorf("looking back: %+v %s, want the receipt of message 3", r, refused)
		}
	}
	s.join("e1", "r", "bob")
	s.heard()
	lookBack()
	read("cy", ids[0])
	s.pass(time.Second, "e1")
	told := map[string]uint64{}
	for _, b := range s.casts {
		var m event.MessageReadUpdate
		if err := json.Unmarshal(b.Data, &m); err != nil || b.Event != event.NameMessageReadUpdate {
			t.Fatalf("%s %s", b.Event, b.Data)
		}
		told[m.UserID] = m.Seq
	}
	if len(s.casts) != 2 || told["bob"] != 3 || told["cy"] != 1 {
		t.Errorf("told %v in %d events", told, len(s.casts))
	}
	s.heard()
	// Another device of bob, which reports late, changes nothing.
	lookBack()
	s.pass(2*time.Second, "e1")
	s.hears()
	read("bob", ids[2])
	s.pass(time.Second, "e1")
	s.hears("messageReadUpdate bob")
	s.leave("e1", "r", "bob", 0)
	if r, _ := read("bob", ids[0]); r.Seq != 1 {
		t.Errorf("the mark of a user who has left is still %d", r.Seq)
	}
	// A cold room finds its messages, too.
	s.takeOver(2)
	if r, refused := read("ann", ids[1]); r.Seq != 2 {
		t.Errorf("receipt of a cold room: %+v %s", r, refused)
	}
}

// A page holds at most what the asker's connection can take, cut at the far end.
func TestHistoryFitsTheConnection(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for i := range 5 {
		s.send("r", "ann", fmt.Sprint(i))
	}
	var size int
	for payload, want := range map[string]string{
		`{"roomId":"r"}`:            "[4 5] true",
		`{"roomId":"r","after":1}`:  "[2 3] true",
		`{"roomId":"r","before":3}`: "[1 2] false",
	} {
		var reply event.History
		if s.result("ann", event.NameGetHistory, payload, &reply); size == 0 {
			size = len(reply.Messages[0].JSON)
		}
		cmd := wire.Command{User: person("ann"), Payload: []byte(payload), MaxBytes: uint64(2*size + 10)}
		var p event.GetHistory
		if err := p.Decode(cmd.Payload); err != nil {
			t.Fatal(err)
		}
		s.GetHistory(request.New(s.publisher, &cmd, "r"), &p)
		var m wire.Result
		s.reply(&m)
		reply = event.History{}
		if err := json.Unmarshal(m.JSON, &reply); err != nil {
			t.Fatal(err)
		}
		var seqs []uint64
		for _, it := range reply.Messages {
			seqs = append(seqs, it.Seq)
		}
		if got := fmt.Sprint(seqs, reply.HasMore); got != want {
			t.Errorf("%s: %s, want %s", payload, got, want)
		}
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.beat("e1", 1, wire.StateOK)
	made := event.At(s.world.Now)
	s.join("e1", "r", "ann")
	s.pass(time.Minute, "e1")
	s.send("r", "ann", "c1")
	said := event.At(s.world.Now)
	st := s.stats("r")
	if st.CreatedAt != made || st.LastActivity != said || len(st.Users) != 1 || st.Users[0].Name != "N ann" {
		t.Errorf("stats: %+v", st)
	}
	// Another owner knows from the log when the room was made.
	s.takeOver(2)
	if st := s.stats("r"); st.CreatedAt != made || st.LastActivity != said {
		t.Errorf("after a takeover: %+v", st)
	}
	if st := s.stats("nothing"); st.UserCount != 0 || st.CreatedAt != 0 || st.LastActivity != 0 {
		t.Errorf("of a room that never was: %+v", st)
	}
}

func TestHeadsAndDigest(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for i := range 3 {
		s.send("a", "ann", fmt.Sprint(i))
	}
	s.send("b", "ann", "x")
	s.pass(30 * time.Second)
	moved, still := 0, 0
	for _, d := range s.digests {
		if len(d.Heads) > 0 {
			moved++
		} else {
			still++
		}
	}
	// Each second for ten seconds; then one each four, so that a loss is seen.
	if moved < 10 || moved > 12 || still < 4 || still > 6 {
		t.Errorf("a moved head is told in %d digests, followed by %d without", moved, still)
	}
	heads := map[string]uint64{}
	first := slices.IndexFunc(s.digests, func(d *wire.Digest) bool { return len(d.Heads) > 0 })
	for _, h := range s.digests[first].Heads {
		heads[h.Room] = h.Seq
	}
	if len(heads) != 2 || heads["a"] != 3 || heads["b"] != 1 {
		t.Errorf("digest: %v", heads)
	}
	s.takeOver(2)
	s.Heads(&wire.Heads{Rooms: []string{"a", "none", "b"}}, "r")
	var d wire.Digest
	s.reply(&d)
	if d.Code != "" || len(d.Heads) != 2 || d.Epoch != 2 {
		t.Errorf("heads: %+v", d)
	}
	s.Heads(&wire.Heads{}, "r")
	s.reply(new(wire.Digest))
	s.Heads(&wire.Heads{Rooms: make([]string, 5001)}, "r")
	d = wire.Digest{}
	if s.reply(&d); d.Code != "BAD_REQUEST" {
		t.Errorf("too many heads: %+v", d)
	}
}

// An empty room is removed from memory after a while; its log is not.
func TestIdleRooms(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.join("e1", "empty", "ann")
	s.send("empty", "ann", "c1")
	s.leave("e1", "empty", "ann", 0)
	s.beat("e2", 1, wire.StateOK)
	s.join("e2", "busy", "bob")
	s.pass(idleAfter-2*sweepEvery, "e2")
	if !s.Has("empty") {
		t.Error("dropped too early")
	}
	s.pass(4*sweepEvery, "e2")
	if s.Has("empty") || !s.Has("busy") {
		t.Errorf("in memory: empty %v, busy %v", s.Has("empty"), s.Has("busy"))
	}
	if j := s.join("e1", "empty", "ann"); j.Head != 1 {
		t.Errorf("joined again: %+v", j)
	}
	if n := s.count.RoomsCreated.Load(); n != 2 {
		t.Errorf("%d rooms were made, want 2", n)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for i := range 5 {
		s.join("e1", fmt.Sprint("r", i), "ann")
		s.world.Now = s.world.Now.Add(time.Second)
	}
	s.send("r1", "ann", "c")
	rep := s.Report(2)
	if rep.Rooms != 5 || len(rep.Details) != 2 || rep.Details[0].RoomID != "r1" || rep.Details[1].RoomID != "r4" || rep.Details[0].UserCount != 1 {
		t.Errorf("report: %+v", rep)
	}
}

// The log is away: commands are answered when their time is over, and work when it
// is back.
func TestLogAway(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, cmd := range []func(){
		func() { s.Join(&wire.Join{Origin: origin("e1"), Room: "r", User: person("ann")}, "join") },
		func() {
			s.Send(&wire.Send{Origin: origin("e1"), Room: "r", User: person("ann"), ClientID: "c", Type: "TEXT", Content: "x"}, "send")
		},
		func() { s.History(&wire.History{Room: "r", Limit: 1}, "hist") },
		func() { s.ask("stats", person("ann"), event.NameGetRoomStats, `{"roomId":"r"}`) },
		func() { s.ask("page", person("ann"), event.NameGetHistory, `{"roomId":"r"}`) },
		func() {
			s.ask("read", person("ann"), event.NameMessageRead, `{"roomId":"r","messageId":"`+event.MessageID("r", 1, 0, "u")+`"}`)
		},
		func() { s.Heads(&wire.Heads{Rooms: []string{"r"}}, "heads") },
	} {
		cmd()
	}
	for range 100 {
		s.world.Now = s.world.Now.Add(100 * time.Millisecond)
		for n := len(s.world.Steps); n > 0; n-- {
			s.world.RunStep(0, 1) // everything is lost
		}
		s.RunTimers(s.world.Now)
	}
	for _, reply := range []string{"join", "send", "hist", "stats", "page", "read", "heads"} {
		var d wire.Done
		if s.replies[reply] == nil {
			t.Errorf("%s was not answered", reply)
		} else if s.decode(s.replies[reply], &d); d.Code != "UNAVAILABLE" {
			t.Errorf("%s: %+v", reply, d)
		}
	}
	if sent := s.send("r", "ann", "c"); sent.Code != "" || sent.Seq != 1 {
		t.Errorf("when it is back: %+v", sent)
	}
}

// fill stores messages in a room, all of them now.
func (s *scene) fill(room string, messages int) log.Room {
	place, now := log.RoomOf(room, 1), uint64(s.world.Now.UnixMilli())
	for seq := 1; seq <= messages; seq++ {
		s.world.Store(place, wire.Marshal(&wire.Record{First: uint64(seq), Room: room, CreatedMs: now, Entries: []wire.Entry{
			{User: "u", ClientID: fmt.Sprint(seq), AtMs: now, JSON: []byte("{}")},
		}}))
	}
	return place
}

// Messages are removed within a minute of their age from a room in memory, and within ten
// minutes from others, when the age is an hour.
func TestRetentionIsInTime(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.age = time.Hour
	s.takeOver(2)
	open, closed := s.fill("open", 1500), s.fill("closed", 1500)
	s.join("e1", "open", "ann")
	left := func(place log.Room) int { return len(s.world.Records[place]) }
	s.pass(s.age-time.Second, "e1")
	if left(open) != 1500 || left(closed) != 1500 {
		t.Errorf("too early: %d and %d are left", left(open), left(closed))
	}
	s.pass(time.Minute+time.Second, "e1")
	if left(open) != 1000 {
		t.Errorf("in memory: %d are left a minute late", left(open))
	}
	s.pass(9*time.Minute, "e1")
	if left(closed) != 1000 || s.Has("closed") {
		t.Errorf("not in memory: %d are left ten minutes late", left(closed))
	}
}

// Rooms that are not opened lose what is too old too, one after another, and never their
// last message; small ones are left alone.
func TestPatrol(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	large, small := []log.Room{s.fill("one", 1500), s.fill("two", 3000)}, s.fill("small", 10)
	s.world.Now = s.world.Now.Add(2 * maxAge)
	for range int((8 * time.Hour) / time.Minute) { // in steps, for speed
		s.world.Now = s.world.Now.Add(time.Minute)
		s.RunTimers(s.world.Now)
		s.Tick(s.world.Now)
		s.world.RunReplies()
	}
	for _, place := range large {
		if n := len(s.world.Records[place]); n != 1000 {
			t.Errorf("%s: %d records are left", place.Subject, n)
		}
	}
	if n := len(s.world.Records[small]); n != 10 {
		t.Errorf("small: %d records are left", n)
	}
	if s.Has("one") || s.Has("two") {
		t.Error("they are in memory now")
	}
	if sent := s.send("two", "ann", "next"); sent.Seq != 3001 {
		t.Errorf("the next message is %d", sent.Seq)
	}
}
