package engine_test

import (
	"strings"
	"testing"
	"time"
)

// client is a session's client over one of the transports.
type client interface {
	// receive returns the packets that came since the last call.
	receive() string
	send(packet string)
}

// pollingClient always has a GET that waits.
type pollingClient struct {
	*session
	waiting *request
}

func (c *pollingClient) receive() string {
	answer := c.waiting.answer()
	if answer == "waits" {
		return ""
	}
	c.waiting = c.get()
	return strings.TrimPrefix(answer, "200 ")
}

func (c *pollingClient) send(packet string) { c.post(packet) }

type webSocketClient struct{ *webSocket }

func (c webSocketClient) receive() string    { return c.received() }
func (c webSocketClient) send(packet string) { c.say(packet) }

// overEach runs a test over each transport.
func overEach(t *testing.T, test func(*fixture, client)) {
	t.Run("polling", func(t *testing.T) {
		t.Parallel()
		run(t, func(f *fixture) {
			s := f.open()
			test(f, &pollingClient{s, s.get()})
		})
	})
	t.Run("websocket", func(t *testing.T) {
		t.Parallel()
		run(t, func(f *fixture) {
			w := f.connect("")
			w.received()
			f.called()
			test(f, webSocketClient{w})
		})
	})
}

// A ping is sent each interval. The client may answer late, and with any packet.
func TestPings(t *testing.T) {
	t.Parallel()
	overEach(t, func(f *fixture, c client) {
		for _, answer := range []string{"3", "4alive", "3"} {
			f.pass(pingInterval - time.Second)
			f.want("before the interval", c.receive(), "")
			f.pass(time.Second)
			f.want("ping", c.receive(), "2")
			c.send(answer)
		}
		f.pass(pingInterval)
		f.want("ping", c.receive(), "2")
		f.pass(pingTimeout - time.Second)
		c.send("3")
		f.pass(pingInterval - pingTimeout + time.Second)
		f.want("ping after a late answer", c.receive(), "2")
	})
}

// A client that does not answer a ping within the timeout is disconnected.
func TestPingTimeout(t *testing.T) {
	t.Parallel()
	overEach(t, func(f *fixture, c client) {
		f.pass(pingInterval)
		f.want("ping", c.receive(), "2")
		f.pass(pingTimeout - 100*time.Millisecond)
		f.want("before the timeout", c.receive()+f.called(), "")
		f.pass(100 * time.Millisecond)
		if got := c.receive(); got != "1" && got != "close 4002" {
			t.Errorf("received %q", got)
		}
		f.pass(3 * time.Second) // a WebSocket waits for the client's close frame
		f.want("calls", f.called(), "closed:ours,4002")
	})
}

// A loop that is late sends the ping late, and the client has its full time to answer.
func TestLatePing(t *testing.T) {
	t.Parallel()
	overEach(t, func(f *fixture, c client) {
		f.now = f.now.Add(pingInterval + pingTimeout + time.Second)
		f.turn()
		f.want("ping", c.receive(), "2")
		f.called()
		f.pass(pingTimeout - 100*time.Millisecond)
		f.want("before the timeout", f.called(), "")
		c.send("3")
		f.pass(time.Second)
		f.want("answered", f.called(), "")
	})
}

// A ping need not be answered while the server does not read.
func TestPingWhilePaused(t *testing.T) {
	t.Parallel()
	overEach(t, func(f *fixture, c client) {
		f.socket.PauseReads()
		f.pass(pingInterval)
		f.want("ping", c.receive(), "2")
		f.pass(pingInterval + pingTimeout)
		c.receive()
		f.socket.ResumeReads()
		f.turn()
		f.called()
		f.pass(pingTimeout - time.Second)
		f.want("before the timeout", f.called(), "")
		f.pass(4 * time.Second)
		f.want("after the timeout", f.called(), "closed:ours,4002")
	})
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	overEach(t, func(f *fixture, c client) {
		count := 0
		for range 5 * heartbeat / pingInterval {
			f.pass(pingInterval)
			c.receive()
			count += strings.Count(f.called(), "heartbeat")
			c.send("3")
		}
		if count != 5 { // the first one comes between half an interval and a whole one
			t.Errorf("%d heartbeats in 5 intervals", count)
		}
	})
}

// A limit closes the session, unless it is removed.
func TestLimit(t *testing.T) {
	t.Parallel()
	overEach(t, func(f *fixture, c client) {
		f.socket.Limit(10 * time.Second)
		f.pass(9 * time.Second)
		f.socket.Limit(0)
		f.pass(10 * time.Second)
		f.want("removed", f.called(), "")
		f.socket.Limit(time.Second)
		f.pass(4 * time.Second)
		if got := c.receive(); got != "1" && got != "close 1008" {
			t.Errorf("received %q", got)
		}
		f.want("passed", f.called(), "closed:ours,1008")
	})
}
