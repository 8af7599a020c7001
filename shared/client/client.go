// Package client is the Go client for Confab's native protocol. It connects, joins rooms,
// sends with acknowledgement, reconnects with backoff and jitter, and resumes every room
// at its last message, so that the user receives each message of a joined room once and
// in order.
package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/confab-chat/confab/proto/code"
)

// Options configure a client. URL is required.
type Options struct {
	URL string // ws://host:3001/ws

	// Token returns the token of the next connection. It is called for every connection,
	// so that it can fetch a short-lived token. Nil: no token is sent.
	Token func(context.Context) (string, error)

	// OnEvent receives every server event in order, and is not called concurrently. While
	// it runs, the connection is not read: if it is slow, the server treats the client as
	// a slow consumer. It must not wait for a reply to this client. Nil: events go to
	// Events.
	OnEvent func(Event)

	Header     http.Header   // additional handshake headers
	BackoffMin time.Duration // default 500 ms
	BackoffMax time.Duration // default 15 s; each wait is drawn between 0 and the doubled last
}

// Event is a server event (receiveMessage, userJoined, gap ...), or one of the client's
// own events "connected" and "disconnected", which have no data.
type Event struct {
	Name string
	Data json.RawMessage // the payload; nil for the client's own events
	Room string          // of receiveMessage and gap
	Seq  uint64          // of receiveMessage; for gap, the last missing seq
}

// The client's own events.
const (
	Connected    = "connected"    // all rooms have been rejoined
	Disconnected = "disconnected" // the client reconnects automatically
)

// eventBuffer is how many events wait in Events before the client stops reading.
const eventBuffer = 1024

// Client keeps one connection alive. Its methods may be called concurrently; Run must be
// called at most once.
type Client struct {
	// Static after construction.
	opts   Options
	events chan Event         // closed by Run after all readers, which send on it, have returned
	lost   chan ending        // capacity 2: at most two links are alive, each ends once; never closed
	stop   chan struct{}      // closed by Run when it ends
	moved  chan time.Duration // capacity 1: a second reconnectSoon changes nothing; never closed

	deliverMu sync.Mutex // serializes delivery of events to the user

	mu    sync.Mutex // guards the following
	link  *link      // nil unless a link has resumed
	ready chan struct{}
	rooms map[string]uint64 // joined rooms: seq of the last message delivered to the user
	ended error             // Run's result; nil while it runs
}

// New returns a client that does nothing until Run.
func New(o Options) *Client {
	o.BackoffMin = cmp.Or(o.BackoffMin, 500*time.Millisecond)
	o.BackoffMax = cmp.Or(o.BackoffMax, 15*time.Second)
	return &Client{
		opts:   o,
		events: make(chan Event, eventBuffer),
		lost:   make(chan ending, 2),
		stop:   make(chan struct{}),
		moved:  make(chan time.Duration, 1),
		ready:  make(chan struct{}),
		rooms:  make(map[string]uint64),
	}
}

// Events returns the channel of all server events, in order. It is unused if OnEvent is
// set, and closed when Run returns. While the channel is full, the client does not read
// from its connection.
func (c *Client) Events() <-chan Event { return c.events }

// Run connects, and reconnects after every loss. It returns nil when ctx ends, and an
// error when a retry cannot succeed: a *CloseError, or the *code.Error of a refused
// handshake.
func (c *Client) Run(ctx context.Context) (err error) {
	var links sync.WaitGroup
	defer func() {
		c.mu.Lock()
		c.ended = cmp.Or(err, errors.New("client stopped"))
		if c.link == nil {
			close(c.ready)
		}
		c.mu.Unlock()
		close(c.stop)
		links.Wait()
		close(c.events)
	}()
	for attempt := 0; ; {
		l, err := c.open(ctx, &links)
		switch {
		case ctx.Err() != nil:
			if err == nil { // it ended while the link was opened
				l.close(ws.StatusNormalClosure)
			}
			return nil
		case final(err):
			return err
		case err == nil:
			attempt = 0
			if err = c.waitForLoss(ctx, l, &links); ctx.Err() != nil {
				return nil
			} else if final(err) {
				return err
			}
		}
		if !sleep(ctx, c.backoff(attempt)) {
			return nil
		}
		attempt++
	}
}

// final reports whether reconnecting after err cannot succeed.
func final(err error) bool {
	if closed, ok := errors.AsType[*CloseError](err); ok {
		return !closed.Code.Reconnect()
	}
	refused, ok := errors.AsType[*code.Error](err)
	return ok && (refused.Code == code.Unauthorized || refused.Code == code.Forbidden)
}

// backoff returns a delay with full jitter: uniform between 0 and the exponential bound.
func (c *Client) backoff(attempt int) time.Duration {
	bound := min(c.opts.BackoffMax, c.opts.BackoffMin<<min(attempt, 16))
	return rand.N(bound) + time.Millisecond
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// open dials, starts reading, resumes every room at its last message, and makes the new
// link the current one. The reader reports the end of the current link on lost.
func (c *Client) open(ctx context.Context, links *sync.WaitGroup) (*link, error) {
	token := ""
	if c.opts.Token != nil {
		var err error
		if token, err = c.opts.Token(ctx); err != nil {
			return nil, err
		}
	}
	l, err := dial(ctx, c.opts.URL, token, c.opts.Header)
	if err != nil {
		return nil, err
	}
	over := make(chan error, 1)
	links.Go(func() {
		err := l.read(func(f frame) { c.deliver(l, f) })
		l.fail(err)
		over <- err
		c.drop(l, err)
	})
	if err := c.resume(ctx, l); err != nil {
		l.close(ws.StatusNormalClosure)
		if errors.Is(err, ErrLost) {
			err = <-over // the reader has the cause
		}
		return nil, err
	}
	if old := c.swap(l); old != nil {
		old.close(ws.StatusNormalClosure)
	}
	c.deliverLocal(Event{Name: Connected})
	return l, nil
}

// resume joins every room on l. If the server refuses a room permanently, resume removes
// the room and delivers an error event; any other error fails the link.
func (c *Client) resume(ctx context.Context, l *link) error {
	c.mu.Lock()
	rooms := make(map[string]uint64, len(c.rooms))
	for room, last := range c.rooms {
		rooms[room] = last
	}
	c.mu.Unlock()
	for room, last := range rooms {
		_, err := l.request(ctx, "joinRoom", encode(joinRoom{RoomID: room, Since: &last}), nil)
		if refused, ok := errors.AsType[*code.Error](err); ok && !refused.Code.Retryable() {
			c.forget(room)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// waitForLoss waits for the end of the current link, and moves to a new one when the
// server sends reconnectSoon. It returns why the last link ended.
func (c *Client) waitForLoss(ctx context.Context, l *link, links *sync.WaitGroup) error {
	move := time.NewTimer(time.Hour)
	move.Stop()
	for {
		select {
		case <-ctx.Done():
			l.close(ws.StatusNormalClosure)
			return ctx.Err()
		case end := <-c.lost:
			if end.link == l {
				return end.err
			}
		case after := <-c.moved:
			move.Reset(after)
		case <-move.C:
			// Make before break: the old link delivers until the new one has resumed. If
			// that fails, the old link stays in use until it ends.
			if next, err := c.open(ctx, links); err == nil {
				l = next
			}
		}
	}
}

// ending holds the reason why a link ended.
type ending struct {
	link *link
	err  error
}

// swap makes l the current link and returns the one before it.
func (c *Client) swap(l *link) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.link
	if old == nil {
		close(c.ready)
	}
	c.link = l
	return old
}

// drop removes l if it is the current link, and delivers Disconnected.
func (c *Client) drop(l *link, err error) {
	c.mu.Lock()
	current := c.link == l
	if current {
		c.link = nil
		c.ready = make(chan struct{})
		if c.ended != nil {
			close(c.ready)
		}
	}
	c.mu.Unlock()
	if current {
		c.deliverLocal(Event{Name: Disconnected})
		c.lost <- ending{l, err}
	}
}
