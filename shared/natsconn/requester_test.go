package natsconn_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/natsconn"
	"github.com/confab-chat/confab/shared/natstest"
)

// bus is a connection to a private server, a Requester on it, and the goroutine
// that hands replies over.
func bus(tb testing.TB) (*nats.Conn, *natsconn.Requester) {
	tb.Helper()
	nc := natstest.Start(tb).Conn(tb)
	deliver := make(chan *nats.Msg, 1024)
	r, err := natsconn.NewRequester(nc, deliver)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	wg.Go(func() {
		for {
			select {
			case m := <-deliver:
				r.Handle(m)
			case <-ctx.Done():
				return
			}
		}
	})
	tb.Cleanup(func() { cancel(); wg.Wait() })
	return nc, r
}

type outcome struct {
	data string
	err  error
}

func ask(r *natsconn.Requester, subject, data string, timeout time.Duration) chan outcome {
	got := make(chan outcome, 2) // room for the second call that must not come
	r.Do(subject, nil, []byte(data), timeout, func(m *nats.Msg, err error) {
		if err != nil {
			got <- outcome{err: err}
			return
		}
		got <- outcome{data: string(m.Data)}
	})
	return got
}

func TestRequester(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		nc, r := bus(t)
		echo := func(m *nats.Msg) { _ = m.Respond(append([]byte("re:"), m.Data...)) }
		silent := func(*nats.Msg) {}
		for subject, h := range map[string]nats.MsgHandler{"echo": echo, "silent": silent} {
			if _, err := nc.Subscribe(subject, h); err != nil {
				t.Fatal(err)
			}
		}
		for name, c := range map[string]struct {
			subject string
			timeout time.Duration
			want    outcome
		}{
			"answered":      {"echo", time.Minute, outcome{data: "re:x"}},
			"no responders": {"nobody", time.Minute, outcome{err: nats.ErrNoResponders}},
			"no answer":     {"silent", 20 * time.Millisecond, outcome{err: nats.ErrTimeout}},
			"other timeout": {"silent", 30 * time.Millisecond, outcome{err: nats.ErrTimeout}},
		} {
			got := <-ask(r, c.subject, "x", c.timeout)
			if got.data != c.want.data || !errors.Is(got.err, c.want.err) {
				t.Errorf("%s: got %+v, want %+v", name, got, c.want)
			}
		}
		if n := r.Pending(); n != 0 {
			t.Errorf("%d requests left pending", n)
		}
	})
}

func TestRequesterShortTimeoutBehindLongOne(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		nc, r := bus(t)
		if _, err := nc.Subscribe("silent", func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
		long := ask(r, "silent", "", time.Hour)
		if got := <-ask(r, "silent", "", time.Millisecond); !errors.Is(got.err, nats.ErrTimeout) {
			t.Fatalf("got %+v, want a timeout", got)
		}
		select {
		case got := <-long:
			t.Fatalf("the long request ended: %+v", got)
		default:
		}
	})
}

func TestRequesterStopFailsWhatIsPending(t *testing.T) {
	t.Parallel()
	nc, err := nats.Connect("nats://127.0.0.1:1", nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r, err := natsconn.NewRequester(nc, make(chan *nats.Msg, 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := ask(r, "x", "", time.Hour)
	cancel()
	r.Run(ctx)
	if o := <-got; !errors.Is(o.err, nats.ErrConnectionClosed) {
		t.Errorf("pending request got %+v", o)
	}
	if o := <-ask(r, "x", "", time.Hour); !errors.Is(o.err, nats.ErrConnectionClosed) {
		t.Errorf("late request got %+v", o)
	}
}

// Requests through a server in the process, 64 in flight.
func BenchmarkRequester(b *testing.B) {
	nc, r := bus(b)
	if _, err := nc.Subscribe("echo", func(m *nats.Msg) { _ = nc.Publish(m.Reply, m.Data) }); err != nil {
		b.Fatal(err)
	}
	window := make(chan struct{}, 64)
	payload := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		window <- struct{}{}
		r.Do("echo", nil, payload, 5*time.Second, func(*nats.Msg, error) { <-window })
	}
	for range cap(window) {
		window <- struct{}{}
	}
}

func TestRequesterTakesManyReplies(t *testing.T) {
	natstest.VirtualTime(t, func(t *testing.T) {
		nc, r := bus(t)
		for subject, n := range map[string]int{"five": 5, "two": 2} {
			if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
				for i := range n {
					_ = m.Respond([]byte{byte('0' + i)})
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		for name, c := range map[string]struct {
			subject string
			timeout time.Duration
			want    string
			err     error
		}{
			"all of them":         {"five", time.Minute, "01234", nil},
			"fewer than expected": {"two", time.Second, "01", nats.ErrTimeout},
			"no responders":       {"nobody", time.Minute, "", nats.ErrNoResponders},
		} {
			got := make(chan outcome, 1)
			var seen string
			r.DoMany(c.subject, nil, nil, c.timeout, func(m *nats.Msg, err error) bool {
				if err == nil {
					seen += string(m.Data)
				}
				if err != nil || len(seen) == 5 {
					got <- outcome{seen, err}
					return false
				}
				return true
			})
			if o := <-got; o.data != c.want || !errors.Is(o.err, c.err) {
				t.Errorf("%s: got %+v, want %q and %v", name, o, c.want, c.err)
			}
		}
		if n := r.Pending(); n != 0 {
			t.Errorf("%d requests left pending", n)
		}
	})
}
