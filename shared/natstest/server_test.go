package natstest_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

func TestServerKeepsStreamsOverRestart(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	up := make(chan struct{}, 1)
	nc := srv.Conn(t, nats.ReconnectHandler(func(*nats.Conn) { up <- struct{}{} }))
	js := mustJetStream(t, nc)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.1", []byte("kept")); err != nil {
		t.Fatal(err)
	}

	srv.Restart(t)
	eventually.Receive(t, "reconnect", up)

	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(t.Context(), "s.1")
	if err != nil || string(m.Data) != "kept" {
		t.Fatalf("after restart: %v %v", m, err)
	}
}

func TestStoppedServerRefuses(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	srv.Stop()
	if srv.Running() {
		t.Error("running after Stop")
	}
	if _, err := nats.Connect("", nats.InProcessServer(srv)); err == nil {
		t.Error("connected to a stopped server")
	}
}

func TestListenKeepsItsAddress(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen)
	before := srv.URL()
	nc, err := nats.Connect(before, nats.Timeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	srv.Restart(t)
	if after := srv.URL(); after != before || after == "" {
		t.Errorf("url %q, before %q", after, before)
	}
}

func TestTap(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	tap := srv.Tap(t)
	nc := srv.Conn(t)
	for _, s := range []string{"a.1", "a.2", "a.2", "b"} {
		if err := nc.Publish(s, nil); err != nil {
			t.Fatal(err)
		}
	}
	tap.Wait(t, ">", 4)
	if got, want := tap.Subjects(), []string{"a.1", "a.2", "b"}; !slices.Equal(got, want) {
		t.Errorf("subjects %q, want %q", got, want)
	}
	if n := tap.Count("a.*"); n != 3 {
		t.Errorf("a.* seen %d times, want 3", n)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a.c", false},
		{"a.b", "a", false},
		{"a", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a.b.c", false},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{">", "a", true},
		{"*.b", "a.b", true},
		{"*", "a.b", false},
	} {
		if got := natstest.Matches(c.pattern, c.subject); got != c.want {
			t.Errorf("Matches(%q, %q) = %t", c.pattern, c.subject, got)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		natstest.Start(b).Stop()
	}
}

func mustJetStream(tb testing.TB, nc *nats.Conn) jetstream.JetStream {
	tb.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	return js
}

func isTimeout(err error) bool {
	return errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders)
}
