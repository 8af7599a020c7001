package natstest_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/shared/natstest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	c := natstest.StartCluster(t, 3)
	js := mustJetStream(t, c.Conn(t))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}, Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.1", nil); err != nil {
		t.Fatal(err)
	}

	before := c.Leader(t, "S")
	c.StepDown(t, "S")
	if after := c.Leader(t, "S"); after == before {
		t.Errorf("server %d leads before and after", after)
	}

	// The set survives one server; the connection finds another.
	c.Node(c.Leader(t, "S")).Stop()
	c.Leader(t, "S")
	for {
		if ack, err := js.Publish(t.Context(), "s.1", nil); err == nil {
			if ack.Sequence < 2 {
				t.Errorf("sequence %d after 1 was acknowledged", ack.Sequence)
			}
			return
		} else if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}
