package edge_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay/relaytest"
	"github.com/confab-chat/confab/shared/eventually"
)

// Every event that the edge carries out, asked in the room "r" that the client has joined.
func TestLocalEvents(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		data  string
		reply string
		check func(*testing.T, *client, body)
	}{
		"joinRoom": {`{"roomId":"other"}`, "joinedRoom", func(t *testing.T, c *client, b body) {
			if b.RoomID != "other" || b.Recovered != nil || !slices.Equal(b.ActiveUsers, []string{"ann"}) {
				t.Errorf("reply %+v", b)
			}
			if u := c.event("roomUsers", 2); u.RoomID != "other" || u.Total != 1 {
				t.Errorf("roomUsers %+v", u)
			}
		}},
		"leaveRoom": {`{"roomId":"r"}`, "leftRoom", func(t *testing.T, c *client, b body) {
			if f := c.ask("leaveRoom", `{"roomId":"r"}`); f.body(t).Error != "NOT_IN_ROOM" {
				t.Errorf("leaving twice: %s", f.Data)
			}
		}},
		"sendMessage": {`{"roomId":"r","content":" hi ","clientMessageId":"c1"}`, "messageSent", func(t *testing.T, c *client, b body) {
			var m event.Message
			if err := json.Unmarshal(b.Message, &m); err != nil || m.Content != "hi" || m.Author.Name != "ANN" || m.Seq != 1 {
				t.Errorf("message %s: %v", b.Message, err)
			}
			if again := c.ask("sendMessage", `{"roomId":"r","content":"hi","clientMessageId":"c1"}`).body(t); !again.Duplicate {
				t.Errorf("repeated: %+v", again)
			}
			if got := c.event("receiveMessage", 1); got.Seq != 1 || got.Content != "hi" {
				t.Errorf("received %+v", got)
			}
		}},
		"typing": {`{"roomId":"r","isTyping":true}`, "typingUpdated", func(t *testing.T, c *client, b body) {
			eventually.True(t, "the owner is notified", func() bool { return len(c.w.owner.SeenOp("typing")) == 1 })
		}},
		"heartbeat": {`{}`, "heartbeatResponse", func(t *testing.T, c *client, b body) {
			if b.UserID != "ann" {
				t.Errorf("reply %+v", b)
			}
		}},
		"getPresence": {`{"userIds":["stranger","ann"]}`, "presenceRetrieved", func(t *testing.T, c *client, b body) {
			if len(b.PresenceData) != 2 || b.PresenceData[0].UserID != "stranger" || b.PresenceData[0].IsOnline ||
				b.PresenceData[1].UserID != "ann" || !b.PresenceData[1].IsOnline {
				t.Errorf("reply %+v", b.PresenceData)
			}
			if all := c.ask("getPresence", `{}`).body(t); len(all.PresenceData) != 1 || all.PresenceData[0].UserID != "ann" {
				t.Errorf("everybody: %+v", all.PresenceData)
			}
		}},
		"refreshToken": {`{"token":"` + token("ann", 2*time.Hour) + `"}`, "tokenRefreshed", func(t *testing.T, c *client, b body) {
			if at, err := time.Parse(time.RFC3339, b.ExpiresAt); err != nil || time.Until(at) < 90*time.Minute {
				t.Errorf("expires %s: %v", b.ExpiresAt, err)
			}
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			a := w.dial("ann")
			a.join("r")
			eventually.True(t, "the owner knows that ann is here", func() bool { return len(w.owner.SeenOp("up")) == 1 })
			f := a.ask(name, c.data)
			b := f.body(t)
			if f.Event != c.reply || !b.Success {
				t.Fatalf("reply %s %s", f.Event, f.Data)
			}
			if b.Event != "" {
				t.Errorf("native data has the event in it: %s", f.Data)
			}
			c.check(t, a, b)
		})
	}
	for _, def := range event.Catalog() {
		if _, tested := cases[def.Name]; !tested && def.Route == event.RouteLocal {
			t.Errorf("no test for %s", def.Name)
		}
	}
}

// Every event that is forwarded: the owner gets its payload, the client the owner's reply,
// and then the event that the owner has for it.
func TestForwardedEvents(t *testing.T) {
	t.Parallel()
	for _, def := range event.Catalog() {
		if def.Route == event.RouteLocal {
			continue
		}
		t.Run(def.Name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("../../proto/testdata/" + def.Name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var golden struct {
				Request, Reply, Refused struct{ Data json.RawMessage }
			}
			if err := json.Unmarshal(text, &golden); err != nil {
				t.Fatal(err)
			}
			w := start(t)
			w.owner.Answer(def.Name, wire.Result{JSON: golden.Reply.Data, Event: "gap", Data: []byte(`{"roomId":"mine"}`)})
			a, b := w.dial("ann"), w.dial("bob")
			if def.NeedsRoom {
				if f := a.ask(def.Name, string(golden.Request.Data)); f.body(t).Error != string(code.NotInRoom) {
					t.Errorf("not in the room: %s", f.Data)
				}
			}
			a.join("general")
			b.join("general")
			if f := a.ask(def.Name, string(golden.Refused.Data)); f.body(t).Error != string(code.BadRequest) {
				t.Errorf("a bad payload: %s", f.Data)
			}
			if f := a.ask(def.Name, string(golden.Request.Data)); f.Event != def.Reply || string(f.Data) != string(golden.Reply.Data) {
				t.Errorf("reply %s %s", f.Event, f.Data)
			}
			if e := a.event("gap", 1); e.RoomID != "mine" {
				t.Errorf("event %+v", e)
			}
			seen := w.owner.SeenOp(def.Name)
			if len(seen) != 1 || seen[0].User != "ann" || seen[0].Text != string(golden.Request.Data) || seen[0].MaxBytes == 0 {
				t.Errorf("the owner got %+v", seen)
			}
			if strings.Contains(names(b.received()), "gap") {
				t.Error("another client got the event too")
			}
			c := w.chat("cy")
			c.join("general")
			if r := c.reply(def.Name, string(golden.Request.Data)); !r.Success || r.Event != def.Reply {
				t.Errorf("over Socket.IO: %+v", r)
			}
			c.event("gap", 1)
		})
	}
}

// The catalog's cost is what limits an event, wherever it is carried out.
func TestCostLimits(t *testing.T) {
	t.Parallel()
	for _, def := range event.Catalog() {
		if def.Cost == 0 || def.Name == event.NameTyping { // a typing that is too much is no error
			continue
		}
		t.Run(def.Name, func(t *testing.T) {
			t.Parallel()
			w := start(t, "LIMIT_MESSAGES=1000", "LIMIT_JOINS=1000")
			a := w.dial("ann")
			a.join("general")
			w.owner.Deny(time.Minute)
			text, err := os.ReadFile("../../proto/testdata/" + def.Name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var golden struct {
				Request struct{ Data json.RawMessage }
			}
			if err := json.Unmarshal(text, &golden); err != nil {
				t.Fatal(err)
			}
			if f := a.ask(def.Name, string(golden.Request.Data)); f.body(t).Error != string(code.RateLimited) {
				t.Errorf("%s %s", f.Event, f.Data)
			}
		})
	}
}

func TestEventsRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	a.join("r")
	for name, c := range map[string]struct {
		event, data string
		want        code.Code
	}{
		"unknown event":         {"joinrooms", `{}`, code.BadRequest},
		"payload is no object":  {"joinRoom", `[]`, code.BadRequest},
		"no payload":            {"joinRoom", `null`, code.BadRequest},
		"no room":               {"joinRoom", `{}`, code.BadRequest},
		"bad room":              {"joinRoom", `{"roomId":"a b"}`, code.BadRequest},
		"wildcard room":         {"joinRoom", `{"roomId":">"}`, code.BadRequest},
		"long room":             {"joinRoom", `{"roomId":"` + strings.Repeat("x", 65) + `"}`, code.BadRequest},
		"negative since":        {"joinRoom", `{"roomId":"r","since":-1}`, code.BadRequest},
		"leave elsewhere":       {"leaveRoom", `{"roomId":"x"}`, code.NotInRoom},
		"send elsewhere":        {"sendMessage", `{"roomId":"x","content":"x"}`, code.NotInRoom},
		"send nothing":          {"sendMessage", `{"roomId":"r","content":"  "}`, code.BadRequest},
		"send too much":         {"sendMessage", `{"roomId":"r","content":"` + strings.Repeat("x", 2001) + `"}`, code.BadRequest},
		"half a surrogate":      {"sendMessage", `{"roomId":"r","content":"\ud800"}`, code.BadRequest},
		"type elsewhere":        {"typing", `{"roomId":"x","isTyping":true}`, code.NotInRoom},
		"type what":             {"typing", `{"roomId":"r"}`, code.BadRequest},
		"stats elsewhere":       {"getRoomStats", `{"roomId":"x"}`, code.NotInRoom},
		"history elsewhere":     {"getHistory", `{"roomId":"x"}`, code.NotInRoom},
		"history of both":       {"getHistory", `{"roomId":"r","before":3,"after":1}`, code.BadRequest},
		"history of nothing":    {"getHistory", `{"roomId":"r","limit":0}`, code.BadRequest},
		"presence of what":      {"updatePresence", `{"status":"invisible"}`, code.BadRequest},
		"presence of too many":  {"getPresence", manyUsers(101), code.BadRequest},
		"read elsewhere":        {"messageRead", `{"roomId":"x","messageId":"1-0000000000000"}`, code.NotInRoom},
		"refresh without token": {"refreshToken", `{}`, code.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			f := a.ask(c.event, c.data)
			b := f.body(t)
			if f.Event != "error" || b.Success || b.Error != string(c.want) || b.StatusCode != c.want.Status() {
				t.Errorf("%s %s", f.Event, f.Data)
			}
			if b.Ref == "" || len(b.Message) < 4 || b.Timestamp == "" || !strings.Contains(w.log.String(), b.Ref) {
				t.Errorf("incomplete, or not in the log: %s", f.Data)
			}
			if named := name != "unknown event" && name != "half a surrogate"; named && b.Event != c.event {
				t.Errorf("names the event %q", b.Event)
			}
		})
	}
}

func manyUsers(n int) string {
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf(`"u%d"`, i))
	}
	return `{"userIds":[` + strings.Join(ids, ",") + `]}`
}

func TestWithoutID(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	a.write(`{"event":"joinRoom","data":{"roomId":"r"}}`)
	a.event("roomUsers", 1)
	a.write(`{"event":"sendMessage","data":{"roomId":"r","content":"x"}}`)
	a.event("receiveMessage", 1)
	a.write(`{"event":"sendMessage","data":{"roomId":"elsewhere","content":"x"}}`)
	if e := a.event("error", 1); e.Error != "NOT_IN_ROOM" || e.Event != "sendMessage" {
		t.Errorf("error %+v", e)
	}
	if got := names(a.received()); got != "roomUsers receiveMessage error" {
		t.Errorf("received %s", got)
	}
}

func TestJoinOrderAndRejoin(t *testing.T) {
	t.Parallel()
	w := start(t)
	a, b := w.dial("ann"), w.dial("bob")
	a.join("r")
	b.join("r")
	if u := a.event("userJoined", 1); u.UserID != "bob" {
		t.Errorf("userJoined %+v", u)
	}
	again := b.join("r")
	if len(again.ActiveUsers) != 2 {
		t.Errorf("rejoined: %+v", again)
	}
	w.owner.Say("r", "x", "one")
	b.event("receiveMessage", 1)
	if got := names(b.received()); got != "joinedRoom#1 roomUsers joinedRoom#2 roomUsers receiveMessage" {
		t.Errorf("received %s", got)
	}
	if got := names(a.received()); strings.Count(got, "userJoined") != 1 {
		t.Errorf("ann received %s", got)
	}
}

// Requests that are sent without waiting are carried out in order.
func TestPipelinedRequests(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	ids := []uint64{a.say("joinRoom", `{"roomId":"r"}`)}
	for i := range 200 {
		ids = append(ids, a.say("sendMessage", fmt.Sprintf(`{"roomId":"r","content":"%d"}`, i)))
	}
	ids = append(ids, a.say("leaveRoom", `{"roomId":"r"}`), a.say("sendMessage", `{"roomId":"r","content":"late"}`))
	for i, id := range ids {
		f := a.reply(id)
		if ok := f.body(t).Success; ok != (i < len(ids)-1) {
			t.Fatalf("request %d: %s %s", i, f.Event, f.Data)
		}
	}
	w.owner.View("r", func(r *relaytest.Room) {
		for i, it := range r.Items {
			if !strings.Contains(string(it.JSON), fmt.Sprintf(`"content":"%d"`, i)) {
				t.Fatalf("position %d: %s", i, it.JSON)
			}
		}
		if len(r.Items) != 200 {
			t.Errorf("%d messages", len(r.Items))
		}
	})
}

// A permit that takes its time does not let later messages overtake.
func TestSlowPermitKeepsTheOrder(t *testing.T) {
	t.Parallel()
	w := start(t, "LIMIT_MESSAGES=1000")
	a := w.dial("ann")
	a.join("r")
	takes := 0
	w.owner.Silence(func(c relaytest.Command) bool {
		if c.Op == "take" {
			takes++
		}
		return c.Op == "take" && takes == 1
	}, false)
	var ids []uint64
	for i := range 10 {
		ids = append(ids, a.say("sendMessage", fmt.Sprintf(`{"roomId":"r","content":"%d"}`, i)))
	}
	for _, id := range ids {
		if f := a.reply(id); f.Event != "messageSent" {
			t.Fatalf("%s %s", f.Event, f.Data)
		}
	}
	var texts []string
	for _, c := range w.owner.SeenOp("send") {
		texts = append(append(texts, c.Text), c.More...)
	}
	for i, text := range texts {
		if text != fmt.Sprint(i) {
			t.Errorf("position %d: message %s", i, text)
		}
	}
}

// Messages that are read together go to the owner together, and those that come while
// they are under way follow together; an owner of an older release gets one at a time.
// Every message gets its own answer, in order.
func TestBurst(t *testing.T) {
	t.Parallel()
	for _, single := range []bool{false, true} {
		w := start(t)
		if single {
			w.owner.Single()
		}
		a := w.dial("ann")
		a.join("r")
		ids := a.sayAll("sendMessage", 64, func(i int) string {
			return fmt.Sprintf(`{"roomId":"r","content":"%d","clientMessageId":"c%d"}`, i, i%63) // the last repeats the first
		})
		for i, id := range ids {
			f := a.reply(id)
			if again := strings.Contains(string(f.Data), `"duplicate":true`); f.Event != "messageSent" || again != (i == 63) {
				t.Errorf("single %v: message %d: %s %s", single, i, f.Event, f.Data)
			}
		}
		w.owner.View("r", func(r *relaytest.Room) {
			for i, it := range r.Items {
				if !strings.Contains(string(it.JSON), fmt.Sprintf(`"content":"%d"`, i)) {
					t.Errorf("single %v: position %d: %s", single, i, it.JSON)
				}
			}
			if len(r.Items) != 63 {
				t.Errorf("single %v: %d messages stored, want 63", single, len(r.Items))
			}
		})
		sends := len(w.owner.SeenOp("send"))
		if single && sends != 64 || !single && sends > 16 {
			t.Errorf("single %v: %d commands for 64 messages", single, sends)
		}
	}
}

func TestRoomLimit(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	for i := range 100 {
		a.join(fmt.Sprint("r", i))
	}
	if b := a.ask("joinRoom", `{"roomId":"one-more"}`).body(t); b.Error != "FORBIDDEN" {
		t.Errorf("room 101: %+v", b)
	}
	a.join("r7") // again is not more
	a.ask("leaveRoom", `{"roomId":"r7"}`)
	a.join("one-more")
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	a.join("r")
	w.owner.Vanish()
	ids := []uint64{
		a.say("sendMessage", `{"roomId":"r","content":"x"}`), a.say("joinRoom", `{"roomId":"other"}`),
		a.say("getHistory", `{"roomId":"r"}`), a.say("updatePresence", `{"status":"away"}`), a.say("getPresence", `{}`),
		a.say("getRoomStats", `{"roomId":"r"}`),
	}
	if f := a.ask("heartbeat", `null`); f.Event != "heartbeatResponse" {
		t.Errorf("heartbeat: %s", f.Event)
	}
	for _, id := range ids {
		if b := a.reply(id).body(t); b.Error != "UNAVAILABLE" {
			t.Errorf("request %d: %+v", id, b)
		}
	}
	w.owner.Serve()
	if f := a.ask("sendMessage", `{"roomId":"r","content":"x"}`); f.Event != "messageSent" {
		t.Errorf("afterwards: %s %s", f.Event, f.Data)
	}
}

func TestOwnersRefusalReachesTheClient(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	a.join("r")
	w.owner.Refuse(&code.Error{Code: code.Conflict, Message: "used for another message"})
	for _, id := range []uint64{a.say("sendMessage", `{"roomId":"r","content":"x"}`), a.say("getRoomStats", `{"roomId":"r"}`)} {
		if b := a.reply(id).body(t); b.Error != "CONFLICT" || string(b.Message) != `"used for another message"` {
			t.Errorf("reply %+v", b)
		}
	}
}

func TestTypingAndPresenceReachOthers(t *testing.T) {
	t.Parallel()
	w := start(t)
	a, b := w.dial("ann"), w.dial("bob")
	a.join("r")
	b.join("r")
	w.owner.Broadcast(wire.Broadcast{Room: "r", Event: "userTyping", Data: []byte(`{"userId":"ann"}`), Class: wire.ClassTyping, Except: "ann"})
	w.owner.Broadcast(wire.Broadcast{Event: "userOnline", Data: []byte(`{"userId":"ann"}`), Class: wire.ClassPresence, Except: "ann"})
	b.event("userTyping", 1)
	b.event("userOnline", 1)
	w.owner.Broadcast(wire.Broadcast{Event: "presenceUpdate", Data: []byte(`{"userId":"ann"}`), Class: wire.ClassPresence, Only: "ann"})
	a.event("presenceUpdate", 1)
	if got := names(a.received()); strings.Contains(got, "userTyping") || strings.Contains(got, "userOnline") {
		t.Errorf("ann received her own events: %s", got)
	}
}
