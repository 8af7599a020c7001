package edge_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/eventually"
)

func TestBrokenMessages(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, broken := range map[string]string{
		"no json":      `{"id":1,`,
		"two values":   `{"event":"heartbeat"} {}`,
		"key twice":    `{"event":"heartbeat","event":"heartbeat"}`,
		"big number":   `{"event":"heartbeat","data":1e400}`,
		"deep":         strings.Repeat("[", 10000) + strings.Repeat("]", 10000),
		"no object":    `["heartbeat"]`,
		"no event":     `{"id":7}`,
		"event number": `{"event":5}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := w.dial("ann")
			for range 4 {
				a.write(broken)
			}
			a.wait("four errors", func(all []frame) bool { return len(all) == 4 })
			for _, f := range a.received() {
				if b := f.body(t); f.Event != "error" || b.Error != "BAD_REQUEST" || b.Ref == "" {
					t.Fatalf("%s %s", f.Event, f.Data)
				}
			}
			if f := a.ask("heartbeat", `null`); f.Event != "heartbeatResponse" {
				t.Errorf("after four: %s", f.Event)
			}
			a.write(broken)
			if end := a.ended(); end.code != 4503 {
				t.Errorf("after five: %+v", end)
			}
		})
	}
}

// A sound message with an id of another kind is refused, but it is no abuse; null is no id.
func TestWrongIDs(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, id := range []string{`"7"`, `1.5`, `-1`, `9007199254740992`, `true`, `[1]`} {
		a := w.dial("ann")
		for range 10 {
			a.write(`{"id":` + id + `,"event":"heartbeat"}`)
		}
		a.wait("ten errors", func(all []frame) bool { return len(all) == 10 })
		for _, f := range a.received() {
			if b := f.body(t); f.Event != "error" || f.ID != nil || b.Error != "BAD_REQUEST" || !strings.HasPrefix(string(b.Message), `"id must be`) {
				t.Fatalf("id %s: %s %s", id, f.Event, f.Data)
			}
		}
		if f := a.ask("heartbeat", `null`); f.Event != "heartbeatResponse" {
			t.Errorf("id %s, after ten errors: %s", id, f.Event)
		}
	}
	b := w.dial("bob")
	for range 10 {
		b.write(`{"id":null,"event":"heartbeat"}`) // asks for no reply
	}
	if f := b.ask("heartbeat", `null`); f.Event != "heartbeatResponse" || len(b.received()) != 1 {
		t.Errorf("after ids of null: %v", b.received())
	}
}

func TestWrongKindOfMessage(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	if err := ws.WriteFrame(a.nc, ws.MaskFrame(ws.NewBinaryFrame([]byte("{}")))); err != nil {
		t.Fatal(err)
	}
	if end := a.ended(); end.code != 1003 {
		t.Errorf("binary: %+v", end)
	}
	b := w.dial("bob")
	if err := ws.WriteHeader(b.nc, ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Length: 64<<10 + 1}); err != nil {
		t.Fatal(err)
	}
	if end := b.ended(); end.code != 1009 {
		t.Errorf("too big: %+v", end)
	}
}

func TestPermits(t *testing.T) {
	t.Parallel()
	w := start(t, "LIMIT_MESSAGES=60", "LIMIT_JOINS=20", "LIMIT_TYPING=120", "DEFAULT_ROOM=global", "EDGE_PERMIT_TIMEOUT=4s")
	a := w.dial("ann")
	a.event("roomUsers", 1) // of the default room, which costs nothing
	if n := w.owner.Takes(); n != 0 {
		t.Errorf("%d permits for the default room", n)
	}
	a.join("r")
	w.owner.Deny(1500 * time.Millisecond)
	for event, data := range map[string]string{
		"sendMessage": `{"roomId":"r","content":"x"}`, "joinRoom": `{"roomId":"r"}`,
	} {
		if b := a.ask(event, data).body(t); b.Error != "RATE_LIMITED" || b.RetryAfterMs != 1500 || b.StatusCode != 429 {
			t.Errorf("%s: %+v", event, b)
		}
	}
	f := a.ask("typing", `{"roomId":"r","isTyping":true}`)
	if b := f.body(t); f.Event != "typingUpdated" || b.Success || b.RetryAfterMs != 1500 {
		t.Errorf("typing: %s %s", f.Event, f.Data)
	}
	if n := len(w.owner.SeenOp("typing")); n != 0 {
		t.Errorf("the owner was notified of typing %d times", n)
	}
	w.owner.Deny(0)
	if f := a.ask("sendMessage", `{"roomId":"r","content":"x"}`); f.Event != "messageSent" {
		t.Errorf("send: %s %s", f.Event, f.Data)
	}
}

// Without ratelimit an edge grants half the limit locally, and soon asks again.
func TestPermitsWithoutRatelimit(t *testing.T) {
	t.Parallel()
	w := start(t, "LIMIT_MESSAGES=10")
	a := w.dial("ann")
	a.join("r")
	w.owner.SilenceOp("take")
	granted := 0
	for range 10 {
		if f := a.ask("sendMessage", `{"roomId":"r","content":"x"}`); f.Event == "messageSent" {
			granted++
		} else if b := f.body(t); b.Error != "RATE_LIMITED" || b.RetryAfterMs <= 0 {
			t.Errorf("refused with %+v", b)
		}
	}
	if granted != 5 {
		t.Errorf("%d granted, want 5", granted)
	}
	w.owner.SilenceOp("")
	eventually.True(t, "ratelimit decides again", func() bool {
		return a.ask("sendMessage", `{"roomId":"r","content":"x"}`).Event == "messageSent"
	})
}

func TestTokenRefresh(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, bad := range map[string]string{
		"somebody else's": token("bob", time.Hour),
		"expired":         token("ann", -time.Hour),
		"no token":        "x.y.z",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := w.dial("ann")
			f := a.ask("refreshToken", fmt.Sprintf(`{"token":%q}`, bad))
			if f.Event != "error" || f.body(t).StatusCode != 401 {
				t.Errorf("%s %s", f.Event, f.Data)
			}
			if end := a.ended(); end.code != 4500 {
				t.Errorf("ended %+v", end)
			}
		})
	}
}

func TestTokenExpiry(t *testing.T) {
	t.Parallel()
	w := start(t)
	var short, refreshed *client
	withShortToken(t, func(life time.Duration) bool {
		var err1, err2 error
		short, err1 = w.tryDial(token("ann", life))
		refreshed, err2 = w.tryDial(token("bob", life))
		if err1 != nil || err2 != nil {
			return false
		}
		_ = refreshed.tryWrite(fmt.Sprintf(`{"id":1,"event":"refreshToken","data":{"token":%q}}`, token("bob", time.Hour))) // it may be closed
		return refreshed.waitOrEnd("the new token's reply", func(all []frame) bool { return len(all) > 0 }) == nil
	})
	if f := refreshed.received()[0]; f.Event != "tokenRefreshed" {
		t.Fatalf("%s %s", f.Event, f.Data)
	}
	if end := short.ended(); end.code != 4001 {
		t.Errorf("ended %+v", end)
	}
	refreshed.ids++ // of the refresh
	if f := refreshed.ask("heartbeat", `null`); f.Event != "heartbeatResponse" {
		t.Errorf("refreshed: %s", f.Event)
	}
}

// A token that lasts for several heartbeats also ends its connection.
func TestDistantTokenExpiry(t *testing.T) {
	t.Parallel()
	w := start(t, "HEARTBEAT_INTERVAL=1s")
	var a *client
	withShortToken(t, func(life time.Duration) (ok bool) {
		var err error
		a, err = w.tryDial(token("ann", 2*life))
		return err == nil
	})
	var alive sync.WaitGroup
	done := make(chan struct{})
	alive.Go(func() { // a silent client would be closed for its silence
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				_ = ws.WriteFrame(a.nc, ws.MaskFrame(ws.NewPongFrame(nil)))
			}
		}
	})
	if end := a.ended(); end.code != 4001 {
		t.Errorf("ended %+v", end)
	}
	close(done)
	alive.Wait()
}

func TestNobodyComesInWithoutToken(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, bad := range []string{"", "x", token("ann", -time.Hour)} {
		if _, err := w.tryDial(bad); err == nil {
			t.Errorf("let in with %q", bad)
		}
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]bool{"true": true, "false": false} {
		w := start(t, "ENABLE_HEARTBEAT="+setting, "HEARTBEAT_INTERVAL=1s")
		a := w.dial("ann")
		if want {
			if p := a.event("ping", 1); p.Timestamp == "" {
				t.Errorf("ping %+v", p)
			}
			continue
		}
		if end := a.ended(); end.code != 4002 { // our client answers no WebSocket ping
			t.Errorf("ended %+v", end)
		}
		if got := names(a.received()); got != "" {
			t.Errorf("received %s", got)
		}
	}
}

func TestConnectionsPerUser(t *testing.T) {
	t.Parallel()
	w := start(t, "LIMIT_CONNECTIONS_PER_USER=2")
	first := w.dial("ann")
	w.dial("ann")
	third := w.dial("ann")
	if end := third.ended(); end.code != 4504 {
		t.Errorf("third: %+v", end)
	}
	if f := first.ask("heartbeat", `null`); f.Event != "heartbeatResponse" {
		t.Errorf("first: %s", f.Event)
	}
	w.dial("bob")
}

func TestDepartures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		leave func(*client)
		grace string
	}{
		"says goodbye": {func(c *client) {
			_ = ws.WriteFrame(c.nc, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
		}, "0"},
		"goes away": {func(c *client) {
			_ = ws.WriteFrame(c.nc, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, ""))))
		}, "0"},
		"drops dead":       {func(c *client) { _ = c.nc.Close() }, "2000"},
		"breaks the rules": {func(c *client) { _, _ = c.nc.Write([]byte{0xff, 0xff}) }, "2000"},
		"leaves the room":  {func(c *client) { c.ask("leaveRoom", `{"roomId":"r"}`) }, "0"},
		"is asked to move": {func(c *client) { go func() { _ = c.w.stop() }() }, "30000"},
		"closes with others": {func(c *client) {
			_ = ws.WriteFrame(c.nc, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(4321, ""))))
		}, "2000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			a := w.dial("ann")
			a.join("r")
			eventually.True(t, "the owner knows that ann is here", func() bool { return len(w.owner.SeenOp("up")) == 1 })
			c.leave(a)
			eventually.True(t, "the owner is notified", func() bool { return len(w.owner.SeenOp("leave")) == 1 })
			if got := w.owner.SeenOp("leave")[0]; got.Text != c.grace || got.User != "ann" {
				t.Errorf("leave %+v", got)
			}
			if name == "leaves the room" {
				return
			}
			eventually.True(t, "the owner of the user is notified", func() bool { return len(w.owner.SeenOp("down")) == 1 })
			if got := w.owner.SeenOp("down")[0]; got.Text != c.grace {
				t.Errorf("down %+v", got)
			}
		})
	}
}

// A client that asks for a lot and reads it slowly is not thrown out for it.
func TestBigHistoryAndResume(t *testing.T) {
	t.Parallel()
	w := start(t, "OUTBOUND_QUEUE_BYTES=65536")
	text := strings.Repeat("x", 2000)
	for range 1000 {
		w.owner.Say("r", "x", text)
	}
	a := w.dial("ann")
	a.join("r")
	a.ask("getHistory", `{"roomId":"r","limit":200}`)
	if got := w.owner.SeenOp("getHistory"); len(got) != 1 || got[0].MaxBytes != 65536/2 {
		t.Errorf("the owner may answer with more than half of what the connection can queue: %+v", got)
	}
	a.resume("r", 0)
	for i := range 50 {
		a.write(fmt.Sprintf(`{"id":%d,"event":"heartbeat"}`, 1000+i))
	}
	w.owner.Say("r", "x", "last")
	a.upTo(1001)
	if got := seqs(t, a.received()); got != numbers(1, 1001) {
		t.Errorf("received %.200s", got)
	}
}

func TestReadingStopsWhileTooMuchIsOpen(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	a.join("r")
	w.owner.SilenceOp("getHistory")
	for i := range 100 {
		a.say("getHistory", fmt.Sprintf(`{"roomId":"r","after":%d}`, i))
	}
	distinct := func() int {
		seen := map[string]bool{}
		for _, c := range w.owner.SeenOp("getHistory") {
			seen[c.Text] = true
		}
		return len(seen)
	}
	eventually.True(t, "64 are under way", func() bool { return distinct() == 64 })
	eventually.True(t, "they are asked again", func() bool { return len(w.owner.SeenOp("getHistory")) >= 100 })
	if n := distinct(); n != 64 {
		t.Errorf("%d under way", n)
	}
	w.owner.SilenceOp("")
	for id := uint64(2); id <= 101; id++ {
		if f := a.reply(id); f.Event != "history" {
			t.Fatalf("request %d: %s %s", id, f.Event, f.Data)
		}
	}
}

func TestPresenceOfARoomsUsers(t *testing.T) {
	t.Parallel()
	w := start(t, "PRESENCE_SCOPE=rooms")
	a, b, c := w.dial("ann"), w.dial("bob"), w.dial("cat")
	a.join("r")
	b.join("r")
	c.join("elsewhere")
	eventually.True(t, "the owners know everybody", func() bool { return len(w.owner.SeenOp("up")) >= 6 })
	got := a.ask("getPresence", `{}`).body(t)
	if len(got.PresenceData) != 2 {
		t.Errorf("ann sees %+v", got.PresenceData)
	}
	w.owner.Broadcast(wire.Broadcast{Room: "r", Event: "userOnline", Data: []byte(`{}`), Class: wire.ClassPresence, Rooms: []string{"r"}, Except: "ann"})
	b.event("userOnline", 1)
	if n := strings.Count(names(b.received()), "userOnline"); n != 1 {
		t.Errorf("bob received %d", n)
	}
	w.owner.Broadcast(wire.Broadcast{Event: "presenceUpdate", Data: []byte(`{}`), Class: wire.ClassPresence, Only: "ann"})
	a.event("presenceUpdate", 1) // one's own goes around the rooms
}

func TestOutageOfNATS(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.dial("ann")
	a.join("r")
	w.gate.Cut()
	id := a.say("sendMessage", `{"roomId":"r","content":"during the outage"}`)
	w.owner.Say("r", "x", "unheard")
	w.gate.Open()
	if f := a.reply(id); f.Event != "messageSent" {
		t.Errorf("%s %s", f.Event, f.Data)
	}
	a.upTo(2)
	if got := seqs(t, a.received()); got != "1 2" {
		t.Errorf("received %s", got)
	}
}

func TestTokenStaysOutOfTheLog(t *testing.T) {
	t.Parallel()
	w := start(t)
	jwt := token("ann", time.Hour)
	a := w.dialToken(jwt)
	a.join("r")
	a.ask("sendMessage", `{"roomId":"r","content":"a secret text"}`)
	a.ask("refreshToken", fmt.Sprintf(`{"token":%q}`, jwt))
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{jwt, "a secret text"} {
		if bytes.Contains([]byte(w.log.String()), []byte(secret)) {
			t.Errorf("the log has %q", secret)
		}
	}
}
