package natstest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

// echo answers requests on "echo" over a connection that no gate disturbs.
func echo(t *testing.T, srv *natstest.Server) {
	t.Helper()
	nc := srv.Conn(t)
	if _, err := nc.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestGateCut(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	echo(t, srv)
	gate := srv.Gate(t)
	lost, back := make(chan struct{}, 1), make(chan struct{}, 1)
	nc := gate.Conn(t,
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }),
		nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	if _, err := nc.Request("echo", nil, 10*time.Second); err != nil {
		t.Fatal(err)
	}

	gate.Cut()
	eventually.Receive(t, "disconnect", lost)
	if _, err := gate.InProcessConn(); err == nil {
		t.Error("a cut gate gave a connection")
	}

	gate.Open()
	eventually.Receive(t, "reconnect", back)
	if _, err := nc.Request("echo", nil, 10*time.Second); err != nil {
		t.Errorf("after Open: %v", err)
	}
}

func TestGateBlackhole(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]natstest.Direction{"both": natstest.Both, "up": natstest.Up, "down": natstest.Down} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			echo(t, srv)
			gate := srv.Gate(t)
			nc := gate.Conn(t)
			sub, err := nc.SubscribeSync("reply")
			if err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}

			gate.Blackhole(dir)
			if err := nc.PublishRequest("echo", "reply", []byte("1")); err != nil {
				t.Fatalf("a blackhole must not be told: %v", err)
			}
			if err := nc.FlushTimeout(50 * time.Millisecond); !isTimeout(err) {
				t.Fatalf("flush through a blackhole: %v", err)
			}
			if n, _, _ := sub.Pending(); n != 0 {
				t.Fatal("an answer came through")
			}

			gate.Open()
			if m, err := sub.NextMsg(10 * time.Second); err != nil || string(m.Data) != "1" {
				t.Errorf("what waited did not arrive: %v %v", m, err)
			}
		})
	}
}

func TestGateDelay(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	echo(t, srv)
	gate := srv.Gate(t)
	nc := gate.Conn(t)
	const delay = 30 * time.Millisecond
	gate.Delay(delay)
	start := time.Now()
	if _, err := nc.Request("echo", nil, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	// A lower bound only: the box may be slow, never fast.
	if took := time.Since(start); took < 2*delay {
		t.Errorf("round trip took %s, less than twice the delay", took)
	}
}

// Another process reaches a server that listens through the gate's own address.
func TestGateListens(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen)
	gate := natstest.NewGate(t, natstest.Remote(strings.TrimPrefix(srv.URL(), "nats://")))
	nc, err := nats.Connect("nats://"+gate.Listen(t), nats.Timeout(20*time.Second), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.RTT(); err != nil {
		t.Fatal(err)
	}
	states := nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING)
	gate.Cut()
	if s := <-states; s != nats.RECONNECTING {
		t.Errorf("cut: %v", s)
	}
	gate.Open()
	if s := <-states; s != nats.CONNECTED {
		t.Errorf("open again: %v", s)
	}
}
