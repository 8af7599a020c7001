package suite

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/shared/eventually"
)

// An embedded server that is not healthy is started again, with what it has stored.
func TestEmbeddedRestarts(t *testing.T) {
	t.Parallel()
	e := &embedded{dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}
	if err := e.start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait(); e.stop() })
	nc, err := nats.Connect("", nats.InProcessServer(e), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", nil); err != nil {
		t.Fatal(err)
	}
	first := e.server
	if why := e.unhealthy(); why != "" {
		t.Errorf("unhealthy at first: %s", why)
	}
	if err := first.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	eventually.OK(t, "the stream on another server", func() error {
		s, err := js.Stream(t.Context(), "S")
		if err == nil && s.CachedInfo().State.Msgs != 1 {
			t.Errorf("%d messages", s.CachedInfo().State.Msgs)
		}
		return err
	})
	if nc.ConnectedServerId() == first.ID() {
		t.Error("the server was not started again")
	}
}
