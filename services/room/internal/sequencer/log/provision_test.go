package log_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
)

// lossyPrefix is where a lossy JetStream expects requests.
const lossyPrefix = "lossy."

// lossy returns a JetStream whose first request on a matching subject has no answer. With
// carriedOut the request reaches the server, and only its answer is lost. lost is the number of
// requests without an answer.
func lossy(t *testing.T, nc *nats.Conn, match string, carriedOut bool) (js jetstream.JetStream, lost *atomic.Int32) {
	t.Helper()
	lost = new(atomic.Int32)
	_, err := nc.Subscribe(lossyPrefix+">", func(m *nats.Msg) {
		to := strings.TrimPrefix(m.Subject, lossyPrefix)
		if !strings.HasPrefix(to, "$KV.") {
			to = "$JS.API." + to
		}
		out := &nats.Msg{Subject: to, Reply: m.Reply, Header: m.Header, Data: m.Data}
		if natstest.Matches(match, to) && lost.CompareAndSwap(0, 1) {
			if !carriedOut {
				return
			}
			out.Reply = nc.NewInbox()
		}
		if err := nc.PublishMsg(out); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	js, err = jetstream.NewWithAPIPrefix(nc, lossyPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return js, lost
}

// A lost request or answer costs as much time as one request may take. What was carried out is not
// carried out twice.
func TestProvisionRepeatsWhatIsNotAnswered(t *testing.T) {
	for name, match := range map[string]string{
		"look for the bucket": "$JS.API.STREAM.INFO.KV_chat_cfg",
		"create the bucket":   "$JS.API.STREAM.CREATE.KV_chat_cfg",
		"pin a count":         "$KV.chat_cfg.shards",
		"create a stream":     "$JS.API.STREAM.CREATE.LOG_1",
	} {
		for what, carriedOut := range map[string]bool{"request": false, "answer": true} {
			t.Run(name+", lost "+what, func(t *testing.T) {
				natstest.VirtualTime(t, func(t *testing.T) { provisionLossy(t, match, carriedOut) })
			})
		}
	}
}

func provisionLossy(t *testing.T, match string, carriedOut bool) {
	nc := natstest.Start(t).Conn(t)
	js, lost := lossy(t, nc, match, carriedOut)
	ctx, cancel := eventually.Context(t)
	defer cancel()
	begin := time.Now()
	if err := log.Provision(ctx, js, log.Config{Streams: 2, Replicas: 1}); err != nil || lost.Load() != 1 {
		t.Fatalf("%v, lost %d", err, lost.Load())
	}
	if took := time.Since(begin); took != time.Second { // one request's time
		t.Errorf("took %v", took)
	}
	for stream, messages := range map[string]uint64{"KV_chat_cfg": 2, "LOG_0": 0, "LOG_1": 0} {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.CachedInfo().State.LastSeq; n != messages {
			t.Errorf("%s: %d messages were stored, want %d", stream, n, messages)
		}
	}
}
