package proctest_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/workload"
)

// TestStreamIsDeleted: an operator deletes the streams of the log, and the owner dies. The streams
// are made again, and members receive what is sent from then on.
func TestStreamIsDeleted(t *testing.T) {
	if os.Getenv("CONFAB_TEST_STREAM_DELETED") == "" {
		t.Skip("not kept yet: a message that the new owner accepts before the edge's snapshot arrives gets seq 1 (set CONFAB_TEST_STREAM_DELETED=1 to see it)")
	}
	t.Parallel()
	const before = 14
	c := clustertest.New(t)
	c.Start("nats1", "room1", "ratelimit1", "monitor1", "edge1")
	c.Probe("edge1", "/readyz", 200)
	var received atomic.Uint64 // seq of the last message
	ann := connect(t, c.URL("edge1"), "ann", func(client.Event) {})
	connect(t, c.URL("edge1"), "bob", func(e client.Event) {
		if e.Name == "receiveMessage" {
			received.Store(e.Seq)
		}
	})
	send := func(id string) uint64 {
		t.Helper()
		ctx, cancel := eventually.Context(t)
		defer cancel()
		sent, err := ann.SendID(ctx, "r", id, id)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		return sent.Message.Seq
	}
	for i := range before {
		send(fmt.Sprint(i))
	}
	nc, err := nats.Connect(c.NATS())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for k := range 8 {
		if err := js.DeleteStream(t.Context(), subject.LogStream(k)); err != nil {
			t.Fatal(err)
		}
	}
	eventually.OK(t, "a new stream", func() error {
		_, err := js.Stream(t.Context(), subject.LogStream(0))
		return err
	})
	c.Kill("room1")
	c.Start("room1")
	last := send("after")
	if last <= before {
		t.Errorf("the next message has seq %d; %d were sent before", last, before)
	}
	eventually.Equal(t, "the last message that bob receives", last, received.Load)
}

// connect runs a client that has joined the room r until the test ends.
func connect(t *testing.T, url, user string, onEvent func(client.Event)) *client.Client {
	t.Helper()
	c := workload.NewClient(url, user, onEvent)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	eventually.OK(t, user+" joins", func() error {
		ctx, cancel := eventually.Context(t)
		defer cancel()
		_, err := c.Join(ctx, "r")
		return err
	})
	return c
}
