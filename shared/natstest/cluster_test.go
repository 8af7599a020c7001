package natstest_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	c := natstest.StartCluster(t, 3)
	js := mustJetStream(t, c.Conn(t))
	eventually.OK(t, "the stream", func() error {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}, Replicas: 3})
		return err
	})
	if ack := published(t, js, "s.1"); ack.Sequence < 1 {
		t.Errorf("acknowledged as %d", ack.Sequence)
	}

	before := c.Leader(t, "S")
	c.StepDown(t, "S")
	if after := c.Leader(t, "S"); after == before {
		t.Errorf("server %d leads before and after", after)
	}

	// The set survives one server; the connection finds another.
	c.Node(c.Leader(t, "S")).Stop()
	c.Leader(t, "S")
	if ack := published(t, js, "s.1"); ack.Sequence < 2 {
		t.Errorf("sequence %d after 1 was acknowledged", ack.Sequence)
	}
}

// published publishes until that is acknowledged: a leader does not answer everywhere at
// once.
func published(t *testing.T, js jetstream.JetStream, subject string) (ack *jetstream.PubAck) {
	t.Helper()
	eventually.OK(t, "an acknowledgement", func() (err error) {
		ack, err = js.Publish(t.Context(), subject, nil)
		return err
	})
	return ack
}
