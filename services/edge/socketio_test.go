package edge_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/eventually"
)

// The contract over Socket.IO: replies by acknowledgement and by event, server
// events, what others see; native clients are in the same rooms.
func TestSocketContract(t *testing.T) {
	t.Parallel()
	w := start(t)
	a, b, n := w.chat("ann"), w.chat("bob"), w.dial("nat")
	if r := a.reply("joinRoom", `{"roomId":"r"}`); !r.Success || r.Event != "joinedRoom" || r.RoomID != "r" {
		t.Errorf("joinRoom: %+v", r)
	}
	a.event("roomUsers", 1)
	b.emit("joinRoom", `{"roomId":"r"}`) // no callback
	if r := b.event("joinedRoom", 1); !r.Success || r.Event != "joinedRoom" || len(r.ActiveUsers) != 2 {
		t.Errorf("joinedRoom: %+v", r)
	}
	n.join("r")
	expect(t, "userJoined", a.event("userJoined", 1).UserID, "bob")
	if r := a.reply("sendMessage", `{"roomId":"r","content":"<b>hi</b>"}`); r.Event != "messageSent" || !strings.Contains(string(r.Message), `&lt;b&gt;`) {
		t.Errorf("sendMessage: %+v %s", r, r.Message)
	}
	for _, c := range []*chat{a, b} {
		m := c.event("receiveMessage", 1)
		expect(t, "escaped", m.Content, "&lt;b&gt;hi&lt;/b&gt;")
		if rest := c.find(`42/chat,["receiveMessage",`, 1); !strings.HasSuffix(rest, `,"1.r"]`) {
			t.Errorf("no offset: %s", rest)
		}
	}
	expect(t, "raw for a native client", n.event("receiveMessage", 1).Content, "<b>hi</b>")
	a.emit("typing", `{"roomId":"r","isTyping":true}`)
	expect(t, "typing", a.event("typingUpdated", 1).Success, true)
	w.owner.Answer("getRoomStats", wire.Result{JSON: []byte(`{"success":true}`), Event: "roomStats", Data: []byte(`{"roomId":"r"}`)})
	a.emit("getRoomStats", `{"roomId":"r"}`)
	a.event("roomStatsRetrieved", 1)
	a.event("roomStats", 1)
	a.say(`42/chat,["heartbeat"]`)
	expect(t, "heartbeat", a.event("heartbeatResponse", 1).UserID, "ann")
	a.say(`42/chat,7["heartbeat",null,"more"]`)
	a.find(`43/chat,7[{"event":"heartbeatResponse"`, 1)
	if r := a.reply("sendMessage", `{"roomId":"elsewhere","content":"x"}`); r.Error != "NOT_IN_ROOM" || r.Success {
		t.Errorf("outside the room: %+v", r)
	}
	a.emit("sendMessage", `{"roomId":"elsewhere","content":"x"}`)
	expect(t, "error event", a.event("error", 1).Error, "NOT_IN_ROOM")
	a.emit("nonsense", `{}`)
	expect(t, "unknown event", a.event("error", 2).Error, "BAD_REQUEST")
	a.say(`42/chat,8["joinRoom",{"roomId":"x","roomId":"y"}]`)
	a.find(`43/chat,8[{"success":false,"error":"BAD_REQUEST"`, 1)
	a.say(`41/chat,`)
	eventually.True(t, "ann has left", func() bool { return len(w.owner.Members("r")) == 2 })
}

// Two namespaces of one connection are two sessions. Other namespaces do not exist.
func TestSocketNamespaces(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.chat("ann")
	main := &chat{packets: a.packets, ns: ""}
	main.connect("eve")
	a.join("r")
	main.join("r")
	w.owner.Say("r", "x", "hello")
	a.event("receiveMessage", 1)
	main.event("receiveMessage", 1)
	expect(t, "who is main", main.reply("heartbeat", `null`).UserID, "eve")
	a.say("40/nope,{}")
	a.find(`44/nope,{"message":"Invalid namespace"}`, 1)
	a.say("41/chat,")
	eventually.True(t, "one has left", func() bool { return len(w.owner.Members("r")) == 1 })
	w.owner.Say("r", "x", "again")
	main.event("receiveMessage", 2)
	expect(t, "the other", a.messages(), "r1")
	a.connect("ann") // joins again; find returns the first answer
	a.say(`42/nope,["heartbeat"]`)
	expect(t, "a namespace that was not joined", a.ended().code, 1008)
}

func TestSocketAuthentication(t *testing.T) {
	t.Parallel()
	w := start(t, "AUTH_ALLOW_QUERY_TOKEN=true")
	good := token("ann", time.Hour)
	for name, c := range map[string]struct{ connect, want string }{
		"none":        {`40/chat,`, `{"message":"a token is required","data":{"success":false,"error":"UNAUTHORIZED"`},
		"bad":         {`40/chat,{"token":"x"}`, `{"message":"the token is not valid","data":{"success":false,"error":"UNAUTHORIZED"`},
		"no string":   {`40/chat,{"token":{"a":1}}`, `{"message":"a token is required"`},
		"expired":     {fmt.Sprintf(`40/chat,{"token":%q}`, token("ann", -time.Hour)), `{"message":"the token has expired","data":{"success":false,"error":"TOKEN_EXPIRED"`},
		"in the main": {`40`, `{"message":"a token is required"`},
	} {
		p := w.engine("/socket.io/", "")
		p.say(c.connect)
		ns, _, _ := strings.Cut(c.connect[2:], "{")
		if rest := p.find("44"+ns, 1); !strings.HasPrefix(rest, c.want) {
			t.Errorf("%s: %s", name, rest)
		}
		p.say(fmt.Sprintf(`40/chat,{"token":%q}`, good)) // another try on the same connection
		p.find(`40/chat,{"sid"`, 1)
	}
	p := w.engine("/socket.io/", "", "Authorization", "Bearer "+good)
	p.say("40/chat,")
	p.find(`40/chat,{"sid"`, 1)
	p = w.engine("/socket.io/", "&token="+good)
	p.say("40/chat,")
	p.find(`40/chat,{"sid"`, 1)
	p = w.engine("/socket.io/", "")
	for range 16 {
		p.say(`40/chat,{"token":"x"}`)
	}
	expect(t, "guessing", p.ended().code, 1008)
}

// Violations of the protocol close the connection, with these codes.
func TestSocketInvalid(t *testing.T) {
	t.Parallel()
	w := start(t)
	const placeholder = `{"_placeholder":true,"num":0}`
	for name, say := range map[string][]string{
		"no packet":                {"4abc"},
		"type 9":                   {"49"},
		"second CONNECT":           {`40/chat,{}`},
		"no array":                 {`42/chat,{}`},
		"no payload":               {`42/chat,`},
		"no JSON":                  {`42/chat,["joinRoom",{]`},
		"reserved event":           {`42/chat,["disconnect"]`},
		"large ack id":             {`42/chat,9007199254740993["heartbeat"]`},
		"CONNECT_ERROR":            {`44/chat,{"message":"x"}`},
		"other namespace":          {`42["heartbeat"]`},
		"binary out of the blue":   {"b123"},
		"attachments without":      {`451-/chat,["x"]`},
		"eleven attachments":       {`4511-/chat,["x"]`},
		"text between attachments": {`452-/chat,["x",` + placeholder + `,{"_placeholder":true,"num":1}]`, "b1", `42/chat,["heartbeat"]`},
	} {
		a := w.chat("ann")
		a.say(say...)
		if end := a.ended(); end.code != 1008 {
			t.Errorf("%s: %+v", name, end)
		}
	}
	a := w.chat("ann")
	a.say(`43/chat,5[1]`, `461-/chat,5[`+placeholder+`]`, "b1", "6", "3") // acknowledgements that the edge did not ask for
	a.say(`451-/chat,9["sendMessage",{"roomId":"r","content":`+placeholder+`}]`, "bxyz")
	a.find(`43/chat,9[{"success":false,"error":"BAD_REQUEST"`, 1)
	a.say("b" + "tail")
	expect(t, "one attachment too many", a.ended().code, 1008)
	a = w.chat("ann")
	a.say("4" + strings.Repeat("x", 64<<10))
	expect(t, "too big", a.ended().code, 1009)
	a = w.chat("ann")
	for i := range 5 {
		a.say(fmt.Sprintf(`42/chat,%d["joinRoom",{"a":1,"a":2}]`, i))
	}
	a.find(`42/chat,["error",{"success":false,"error":"BAD_REQUEST","message":"protocol abuse"`, 1)
	a.find("41/chat,", 1) // so that the client library does not reconnect
	expect(t, "abuse", a.ended().code, 4503)
}

// A client that joins no namespace in time is disconnected.
func TestSocketConnectTimeout(t *testing.T) {
	t.Parallel()
	w := start(t, "SOCKETIO_CONNECT_TIMEOUT=1s")
	expect(t, "nothing said", w.engine("/socket.io/", "").ended().code, 1008)
	refused := w.engine("/socket.io/", "")
	refused.say("40/nope")
	expect(t, "refused only", refused.ended().code, 1008)
	a := w.chat("ann")
	expect(t, "time has passed", w.engine("/socket.io/", "").ended().code, 1008)
	a.say(`42/chat,1["heartbeat"]`)
	a.find("43/chat,1[", 1)
}

// The edge closes the transport only, except for a client that must not reconnect.
func TestSocketCloses(t *testing.T) {
	t.Parallel()
	w := start(t, "LIMIT_CONNECTIONS_PER_USER=1")
	var p *packets
	withShortToken(t, func(life time.Duration) bool {
		p = w.engine("/socket.io/", "")
		p.say(fmt.Sprintf(`40/chat,{"token":%q}`, token("tim", life)))
		answer, _ := p.findOrEnd("4", 1)
		return strings.HasPrefix(answer, `0/chat,{"sid"`)
	})
	expect(t, "expiry", p.ended().code, 4001)
	all, _ := p.received()
	if text := strings.Join(all, " "); strings.Contains(text, "41/chat") {
		t.Errorf("the client was sent DISCONNECT: %s", text)
	}
	a := w.chat("ann")
	if r := a.reply("refreshToken", fmt.Sprintf(`{"token":%q}`, token("bob", time.Hour))); r.Error != "UNAUTHORIZED" {
		t.Errorf("refreshToken: %+v", r)
	}
	a.find("41/chat,", 1)
	expect(t, "somebody else's token", a.ended().code, 4500)
	w.chat("joe")
	second := w.chat("joe")
	second.find("41/chat,", 1)
	expect(t, "one connection too many", second.ended().code, 4504)
}

// The contract over long-polling, and through an upgrade in the middle of it.
func TestSocketPolling(t *testing.T) {
	t.Parallel()
	w := start(t)
	s := w.pollSession("/socket.io/")
	s.post(fmt.Sprintf(`40/chat,{"token":%q}`, token("ann", time.Hour)))
	s.gets(`40/chat,{"sid"`)
	s.post(`42/chat,1["joinRoom",{"roomId":"r"}]`)
	s.gets(`43/chat,1[{"event":"joinedRoom"`)
	s.post(`42/chat,2["sendMessage",{"roomId":"r","content":"one"}]` + "\x1e" + `42/chat,["sendMessage",{"roomId":"r","content":"two"}]`)
	var all string
	expected := []string{`"2.r"]`, "\x1e43/chat,2[", `["messageSent"`} // they may come in several polls, in any order
	for slices.ContainsFunc(expected, func(part string) bool { return !strings.Contains(all, part) }) {
		status, text := s.get()
		if status != http.StatusOK {
			t.Fatalf("poll: %d %s, received %q", status, text, all)
		}
		all += "\x1e" + text
	}
	if strings.Count(all, "receiveMessage") != 2 {
		t.Errorf("received %q", all)
	}
	c := &chat{packets: w.engine("/socket.io/", "&sid="+s.sid), ns: "/chat,", acks: 10}
	c.say("2probe")
	c.find("3probe", 1)
	w.owner.Say("r", "x", "between")
	c.say("5")
	w.owner.Say("r", "x", "after")
	c.expectMessages("r3 r4")
	expect(t, "leaveRoom", c.reply("leaveRoom", `{"roomId":"r"}`).Success, true)
	bad := w.pollSession("/socket.io/")
	bad.post("4abc")
	_, text := bad.get()
	expect(t, "invalid packet", text, "1")
}

// While an edge drains it notifies the clients, refuses new sessions, and closes only
// the transports of open ones.
func TestSocketDrain(t *testing.T) {
	t.Parallel()
	w := start(t, "DRAIN_WINDOW=500ms")
	a := w.chat("ann")
	s := w.pollSession("/socket.io/")
	s.post(fmt.Sprintf(`40/chat,{"token":%q}`, token("bob", time.Hour)))
	s.gets(`40/chat,{"sid"`)
	polled := make(chan string, 100)
	go func() {
		defer close(polled)
		for {
			resp, text, _ := w.http("GET", s.url(), "")
			polled <- text
			if resp != 200 || strings.HasSuffix(text, "1") {
				return
			}
		}
	}()
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	a.event("reconnectSoon", 1)
	expect(t, "websocket", a.ended().code, 1012)
	var all []string
	for text := range polled {
		all = append(all, text)
	}
	if text := strings.Join(all, "\x1e"); !strings.Contains(text, `["reconnectSoon",{"reason":"draining"`) || !strings.HasSuffix(text, "1") {
		t.Errorf("over long-polling: %q", all)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
