// Package natsconn opens the NATS connections of a service. They survive any outage of
// NATS; a [Status] reports their state.
//
// Nothing here fails because NATS is absent. [Connect] returns a connection that keeps
// trying, with up to 5 s between attempts, for as long as the process lives. While it is
// down, publishing returns an error at once (there is no reconnect buffer that would hide
// the loss), and requests end at their deadline.
package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// minBackoff and maxBackoff bound the upper end of the random delay between attempts:
	// short enough that a restart of NATS goes unnoticed, long enough that a thousand
	// edges do not overload a server that starts.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second

	// A server that is stopped or blackholed is noticed after Stalled (see watch.go). If it is the
	// only one, the library gives the connection up after about
	// pingInterval x (pingsOutstanding + 1) = 15 s; its default is minutes.
	pingInterval     = 5 * time.Second
	pingsOutstanding = 2

	// dialTimeout is also how long Connect may block on a blackholed server.
	dialTimeout = 2 * time.Second

	// drainTimeout fits every service's shutdown budget; the default is 30 s.
	drainTimeout = 5 * time.Second

	// PendingMessages and PendingBytes bound the queue of one subscription. Beyond them
	// messages are dropped and counted: an overflow must become a gap that is repaired
	// soon, not a backlog of half a million old messages.
	PendingMessages = 65_536
	PendingBytes    = 16 << 20
)

// Options configure a connection. Service is required.
type Options struct {
	Service  string // names the connection and the inbox prefix: _INBOX_<service>
	Instance string
	Role     string // distinguishes connections of one instance in NATS's monitoring: "intake-0"; may be empty

	URL       string // one or more, comma separated; ignored with InProcess
	CredsFile string // user JWT and NKey seed; empty: none

	// InProcess, if set, provides a pipe for each attempt: an embedded server, or one of
	// natstest's.
	InProcess nats.InProcessConnProvider

	// Peers is a subject on which other instances publish each second, over whatever server they
	// use. When none is heard any more, the connection moves to another server. Empty: none.
	Peers string

	Status *Status      // shared by all connections of an instance; nil: none is kept
	Logger *slog.Logger // nil: silent

	// Extra is applied last. A handler set here replaces the one that feeds Status.
	Extra []nats.Option
}

// InboxPrefix is the prefix of every reply subject of a service, so that
// permissions keep services from reading each other's replies.
func InboxPrefix(service string) string { return "_INBOX_" + service }

// Connect returns a connection that is up or keeps trying. It blocks for at most 2 s for
// each server of the URL. Its errors are about the options (an invalid URL, an unreadable
// credentials file), never about the absence of NATS.
func Connect(o Options) (*nats.Conn, error) {
	if o.Service == "" {
		return nil, errors.New("connect to nats: no service name")
	}
	if o.CredsFile != "" && o.InProcess == nil {
		// The library reads the file at each attempt and would retry forever.
		if err := readable(o.CredsFile); err != nil {
			return nil, fmt.Errorf("connect to nats: credentials: %w", err)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Status == nil {
		o.Status = new(Status)
	}
	nc, err := nats.Connect(o.servers(), o.options()...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	o.Status.opened(nc, time.Now())
	o.Status.watch(nc, o.Peers, o.Logger)
	return nc, nil
}

// servers returns the servers of the URL in random order, those that other connections of the
// instance use last.
func (o *Options) servers() string {
	list := strings.Split(o.URL, ",")
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	used := o.Status.urls()
	slices.SortStableFunc(list, func(a, b string) int {
		return strings.Count(used, strings.TrimSpace(a)) - strings.Count(used, strings.TrimSpace(b))
	})
	return strings.Join(list, ",")
}

func (o *Options) options() []nats.Option {
	name := "confab " + o.Service
	for _, part := range []string{o.Instance, o.Role} {
		if part != "" {
			name += " " + part
		}
	}
	opts := []nats.Option{
		nats.Name(name),
		nats.CustomInboxPrefix(InboxPrefix(o.Service)),
		nats.Timeout(dialTimeout),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.DontRandomize(),
		nats.FlusherTimeout(Stalled),
		// A server in the middle of a rollout can report an authorization error. Without
		// this option such an error would close the connection until a restart.
		nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(backoff),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOutstanding),
		nats.ReconnectBufSize(-1),
		nats.DrainTimeout(drainTimeout),
		nats.SyncQueueLen(PendingMessages),
		nats.PermissionErrOnSubscribe(true),
	}
	opts = append(opts, (&events{status: o.Status, log: o.Logger}).options()...)
	if o.InProcess != nil {
		opts = append(opts, nats.InProcessServer(o.InProcess))
	} else if o.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredsFile))
	}
	return append(opts, o.Extra...)
}

// backoff returns the delay before attempt n (from 1): uniform between 0 and a ceiling
// that doubles ("full jitter"), so that the clients of a restarted server reconnect spread
// out.
func backoff(n int) time.Duration {
	ceiling := maxBackoff
	if n < 7 { // 100 ms << 6 is past the maximum
		ceiling = min(minBackoff<<(max(n, 1)-1), maxBackoff)
	}
	return time.Duration(rand.Int64N(int64(ceiling)))
}

// LimitPending applies PendingMessages and PendingBytes to a callback
// subscription (channel subscriptions are bounded by their channel).
func LimitPending(sub *nats.Subscription) error {
	if err := sub.SetPendingLimits(PendingMessages, PendingBytes); err != nil {
		return fmt.Errorf("limit pending messages of %s: %w", sub.Subject, err)
	}
	return nil
}

// Drain unsubscribes, waits until the handlers have processed what has arrived, flushes,
// and closes nc. It returns when the connection is closed, at most 5 s (handlers) and 5 s
// (flush) later, or when ctx ends. A disconnected connection is closed at once.
func Drain(ctx context.Context, nc *nats.Conn) error {
	closed := nc.StatusChanged(nats.CLOSED)
	defer nc.RemoveStatusListener(closed)
	switch err := nc.Drain(); {
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionReconnecting):
		return nil
	case err != nil:
		nc.Close()
		return fmt.Errorf("drain nats connection: %w", err)
	}
	if nc.IsClosed() { // closed concurrently, between StatusChanged and Drain
		return nil
	}
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		nc.Close()
		return fmt.Errorf("drain nats connection: %w", context.Cause(ctx))
	}
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
