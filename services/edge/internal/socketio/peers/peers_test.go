package peers_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/socketio/peers"
	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An id is 128 random bits and the token of the edge that made it.
func TestIDs(t *testing.T) {
	t.Parallel()
	p := peers.New(nil, nil, slog.New(slog.DiscardHandler))
	id := p.NewID()
	if id == p.NewID() || len(id) != 22+8 || !strings.HasSuffix(id, p.Token()) || peers.Owner(id) != p.Token() {
		t.Errorf("id %q of %q", id, p.Token())
	}
	var alone *peers.Peers
	if id := alone.NewID(); len(id) != 22 || peers.Owner(id) != "" || alone.Token() != "" {
		t.Errorf("id %q of an edge without others", id)
	}
	random := strings.Repeat("r", 22)
	for id, want := range map[string]string{
		"": "", random: "", "abcdefgh": "",
		random + "abcdefg2":  "abcdefg2",
		random + "abcdefgh2": "",
		random + "abcdefg":   "",
		random + "ABCDEFGH":  "",
		random + "abcdefg1":  "",
		random + "abc.efgh":  "",
		random + "*.......":  "",
		random + "abcdefg ":  "",
	} {
		if got := peers.Owner(id); got != want {
			t.Errorf("owner of %q: %q, want %q", id, got, want)
		}
	}
}

// asker sends each request over a connection, on a goroutine of its own.
type asker struct{ nc *nats.Conn }

// Do implements peers.Asker.
func (a asker) Do(subj string, _ nats.Header, data []byte, timeout time.Duration, done natsconn.Done) {
	go func() { done(a.nc.Request(subj, data, timeout)) }()
}

// pair returns two edges; the second one serves with h.
func pair(t *testing.T, h peers.Handlers) (first, second *peers.Peers, nc *nats.Conn) {
	srv := natstest.Start(t)
	one, two := srv.Conn(t), srv.Conn(t)
	log := slog.New(slog.DiscardHandler)
	first, second = peers.New(one, asker{one}, log), peers.New(two, asker{two}, log)
	if err := second.Serve(h); err != nil {
		t.Fatal(err)
	}
	if err := two.Flush(); err != nil {
		t.Fatal(err)
	}
	return first, second, one
}

// Requests and answers arrive as they were sent.
func TestAsk(t *testing.T) {
	t.Parallel()
	abandoned := make(chan uint64, 1)
	first, second, nc := pair(t, peers.Handlers{
		Poll: func(m wire.Poll, reply func(*wire.Polled)) {
			if m.Kind == wire.PollGone {
				abandoned <- m.ID
			}
			reply(&wire.Polled{Status: 200, Body: append([]byte(m.SID), m.Body...)})
		},
		Recover: func(m wire.Recover, reply func(*wire.Recovered)) {
			reply(&wire.Recovered{Exact: true, Edge: m.Edge, Rooms: []wire.RoomPosition{{Room: m.Room, Seq: m.Seq}}})
		},
	})
	if err := nc.Publish(subject.EdgePeer(second.Token(), subject.OpPoll), []byte("malformed")); err != nil {
		t.Fatal(err)
	}
	polled, err := first.Poll(t.Context(), second.Token(), &wire.Poll{Kind: wire.PollPost, SID: "s", Body: []byte("body")})
	if err != nil || polled.Status != 200 || !bytes.Equal(polled.Body, []byte("sbody")) {
		t.Errorf("poll: %+v, %v", polled, err)
	}
	recovered, err := first.Recover(second.Token(), &wire.Recover{Edge: first.Token(), Room: "r", Seq: 7})
	if err != nil || !recovered.Exact || recovered.Edge != first.Token() || len(recovered.Rooms) != 1 || recovered.Rooms[0].Seq != 7 {
		t.Errorf("recover: %+v, %v", recovered, err)
	}
	first.AbandonPoll(second.Token(), &wire.Poll{Kind: wire.PollGone, ID: 9})
	if id := <-abandoned; id != 9 {
		t.Errorf("abandoned poll: %d", id)
	}
}

// An edge that has stopped does not answer.
func TestGone(t *testing.T) {
	t.Parallel()
	first, _, _ := pair(t, peers.Handlers{})
	if _, err := first.Poll(t.Context(), "abcdefgh", &wire.Poll{}); !errors.Is(err, peers.ErrGone) {
		t.Errorf("poll: %v", err)
	}
	if _, err := first.Recover("abcdefgh", &wire.Recover{}); !errors.Is(err, peers.ErrGone) {
		t.Errorf("recover: %v", err)
	}
}

// A poll ends with its context, also when the answer comes later.
func TestPollEndsWithContext(t *testing.T) {
	t.Parallel()
	replies := make(chan func(*wire.Polled), 1)
	first, second, _ := pair(t, peers.Handlers{
		Poll: func(_ wire.Poll, reply func(*wire.Polled)) { replies <- reply },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := first.Poll(ctx, second.Token(), &wire.Poll{Kind: wire.PollGet})
		ended <- err
	}()
	reply := <-replies
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("poll: %v", err)
	}
	reply(&wire.Polled{Status: 200})
}
