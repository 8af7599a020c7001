package natstest

import (
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// reconnectWait is short, so that a test sees the connection heal at once.
	reconnectWait = 5 * time.Millisecond

	// connectTimeout bounds a connection's handshake. The library's 2 s are too short on
	// a machine that is busy with other tests.
	connectTimeout = startTimeout
)

// Conn connects through p until the test ends. The connection reconnects at once and
// without limit; asynchronous errors (a missing permission, a slow consumer) fail the
// test. opts are applied last and may replace any of that.
func Conn(tb testing.TB, p nats.InProcessConnProvider, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	errs := &asyncErrors{tb: tb}
	all := append([]nats.Option{
		nats.Name(tb.Name()),
		nats.InProcessServer(p),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(0, 0),
		nats.PermissionErrOnSubscribe(true),
		nats.ErrorHandler(errs.report),
	}, opts...)
	nc, err := nats.Connect("", all...)
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	tb.Cleanup(func() {
		errs.end()
		nc.Close()
	})
	return nc
}

// asyncErrors fails the test for errors that come before its end; testing
// panics on those that come later.
type asyncErrors struct {
	tb testing.TB

	mu    sync.Mutex // guards ended
	ended bool
}

func (a *asyncErrors) report(nc *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, io.ErrClosedPipe) {
		return // a flush met a pipe that a gate or a stopping server had just closed: the connection is lost
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	a.tb.Errorf("asynchronous nats error: conn %q, subject %q: %v", nc.Opts.Name, subject, err)
}

func (a *asyncErrors) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
}
