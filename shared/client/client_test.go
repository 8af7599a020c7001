package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/shared/eventually"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// started runs a client against f until the test ends, and collects its events.
type started struct {
	*client.Client
	f *fake

	mu     sync.Mutex // guards the following
	names  []string
	seqs   []uint64
	change chan struct{} // closed and replaced at each event
}

func start(t *testing.T, f *fake) *started {
	t.Helper()
	s := &started{f: f, change: make(chan struct{})}
	s.Client = client.New(client.Options{URL: f.url(), BackoffMin: time.Millisecond, BackoffMax: 5 * time.Millisecond, OnEvent: s.event})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return s
}

func (s *started) event(e client.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = append(s.names, e.Name)
	if e.Name == "receiveMessage" {
		s.seqs = append(s.seqs, e.Seq)
	}
	close(s.change)
	s.change = make(chan struct{})
}

// until waits until ok holds; it is called with the lock held.
func (s *started) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(eventually.Patience())
	for {
		s.mu.Lock()
		done, change := ok(), s.change
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-change:
		case <-timeout:
			t.Fatalf("waited in vain for %s; events %v, seqs %v", what, s.names, s.seqs)
		}
	}
}

func (s *started) count(name string) (n int) {
	for _, e := range s.names {
		if e == name {
			n++
		}
	}
	return n
}

// once checks that the messages up to last came once each, in order.
func (s *started) once(t *testing.T, first, last uint64) {
	t.Helper()
	s.until(t, fmt.Sprintf("message %d", last), func() bool { return len(s.seqs) > 0 && s.seqs[len(s.seqs)-1] >= last })
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := int(last - first + 1); len(s.seqs) != want {
		t.Fatalf("%d messages, want %d: %v", len(s.seqs), want, s.seqs)
	}
	for i, seq := range s.seqs {
		if seq != first+uint64(i) {
			t.Fatalf("order %v", s.seqs)
		}
	}
}

func TestJoinSendReceive(t *testing.T) {
	t.Parallel()
	c := start(t, startFake(t))
	if _, err := c.Join(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	sent, err := c.Send(t.Context(), "r", "hello")
	if err != nil || sent.Message.Seq != 1 || sent.Message.Content != "hello" || sent.Duplicate {
		t.Fatalf("%+v, %v", sent, err)
	}
	c.once(t, 1, 1)
}

func TestReconnectResumesWithoutHoleOrDouble(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	f.store("before joining")
	c := start(t, f)
	if _, err := c.Join(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		f.store("live")
		f.cut()
		f.store("missed")
		c.until(t, "the reconnect", func() bool { return c.count(client.Connected) == round+2 })
	}
	c.once(t, 2, 11)
	if seq, joined := c.Seq("r"); seq != 11 || !joined {
		t.Errorf("Seq = %d, %v", seq, joined)
	}
}

func TestSendIsStoredOnceWhenTheAckIsLost(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	c := start(t, f)
	if _, err := c.Join(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.loseAcks = 2 })
	sent, err := c.Send(t.Context(), "r", "once")
	if err != nil || !sent.Duplicate || sent.Message.Seq != 1 {
		t.Fatalf("%+v, %v", sent, err)
	}
	c.once(t, 1, 1)
}

func TestTrySendTellsUnknownFromRefused(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	c := start(t, f)
	if _, err := c.Join(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.limit = 1 })
	if _, err := c.TrySend(t.Context(), "r", "x", "a"); code.Of(err) != code.RateLimited {
		t.Errorf("refused: %v", err)
	}
	f.set(func() { f.loseAcks = 1 })
	if _, err := c.TrySend(t.Context(), "r", "x", "b"); !errors.Is(err, client.ErrLost) {
		t.Errorf("lost: %v", err)
	}
}

// A refusal does not decide the outcome of an earlier attempt without a reply.
func TestSendIsUncertainAfterALostAck(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	c := start(t, f)
	if _, err := c.Join(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.loseAcks, f.closed = 1, true })
	if _, err := c.Send(t.Context(), "r", "x"); !errors.Is(err, client.ErrUncertain) || code.Of(err) != code.NotInRoom {
		t.Errorf("refused after a lost acknowledgement: %v", err)
	}
	if _, err := c.Send(t.Context(), "r", "y"); errors.Is(err, client.ErrUncertain) || code.Of(err) != code.NotInRoom {
		t.Errorf("refused at once: %v", err)
	}
}

func TestSendWaitsForTheLimit(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	c := start(t, f)
	if _, err := c.Join(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.limit = 3 })
	if _, err := c.Send(t.Context(), "r", "patient"); err != nil {
		t.Fatal(err)
	}
	f.set(func() {
		if f.sends != 4 {
			t.Errorf("%d attempts, want 4", f.sends)
		}
	})
}

// An outcome that is unknown is asked about with the same id until it is known.
func TestSendIsRepeatedWhileUnknown(t *testing.T) {
	t.Parallel()
	for _, refusal := range []string{"UNAVAILABLE", "INTERNAL"} {
		t.Run(refusal, func(t *testing.T) {
			t.Parallel()
			f := startFake(t)
			c := start(t, f)
			if _, err := c.Join(t.Context(), "r"); err != nil {
				t.Fatal(err)
			}
			f.set(func() { f.limit, f.limitAs = 2, refusal })
			if sent, err := c.SendID(t.Context(), "r", "x", "my-id"); err != nil || sent.Message.Seq != 1 {
				t.Fatal(sent, err)
			}
			f.set(func() {
				if f.sends != 3 || len(f.log) != 1 || f.log[0].cid != "my-id" {
					t.Errorf("%d attempts, stored %+v", f.sends, f.log)
				}
			})
		})
	}
}

func TestMakeBeforeBreak(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	c := start(t, f)
	if _, err := c.Join(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	f.store("old link")
	f.broadcast("reconnectSoon", map[string]any{"reason": "drain", "afterMs": 1})
	c.until(t, "the second link", func() bool { return c.count(client.Connected) == 2 })
	f.store("new link")
	c.once(t, 1, 2)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.count(client.Disconnected); n != 0 {
		t.Errorf("disconnected %d times", n)
	}
}

func TestRunEndsWhenTheServerSaysSo(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	f.set(func() { f.refuse = 401 })
	err := client.New(client.Options{URL: f.url()}).Run(t.Context())
	if code.Of(err) != code.Unauthorized {
		t.Errorf("Run: %v", err)
	}
}

func TestEventsChannel(t *testing.T) {
	t.Parallel()
	c := client.New(client.Options{URL: startFake(t).url()})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if e := <-c.Events(); e.Name != client.Connected {
		t.Errorf("first event %q", e.Name)
	}
	cancel()
	wg.Wait()
	for range c.Events() { // closed by Run
	}
	if err := c.Request(t.Context(), "heartbeat", nil, nil); err == nil {
		t.Error("a request succeeded after Run's end")
	}
}

// A client whose context ends while a connection is being opened closes it, and ends.
func TestEndsWhileConnecting(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	ctx, cancel := context.WithCancel(context.Background())
	c := client.New(client.Options{URL: f.url(), OnEvent: func(e client.Event) {
		if e.Name == client.Connected {
			cancel()
		}
	}})
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(eventually.Patience()):
		t.Fatal("the client does not end")
	}
}
