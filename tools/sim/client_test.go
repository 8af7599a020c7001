package sim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/tools/internal/histories"
)

// retryPause is about the time that a client waits before it tries again.
const retryPause = 300 * time.Millisecond

// client is what a user runs on one device: it stays connected and in its rooms for as long as
// the schedule wants, over any edge.
type client struct {
	// Static.
	world *world
	name  string
	user  string
	send  chan message  // capacity 64: what the schedule sends beyond that is left out; never closed
	wakes chan struct{} // capacity 1; never closed

	rng *rand.Rand // owned by run

	mu     sync.Mutex // guards the following
	edge   int        // index of the edge to connect to
	online bool       // wanted
	rooms  map[string]bool
	last   map[string]uint64 // seq of the newest message received, by room
	conn   *conn             // nil: not connected
	conns  int               // made so far
	sent   int               // messages made so far
}

// message is one that the client sends until it knows the outcome.
type message struct {
	room string
	id   string
}

func newClient(w *world, name, user string, edge int, rng *rand.Rand) *client {
	return &client{
		world: w, name: name, user: user, edge: edge, rng: rng, send: make(chan message, 64), wakes: make(chan struct{}, 1),
		rooms: make(map[string]bool), last: make(map[string]uint64),
	}
}

// start runs the client until ctx ends.
func (c *client) start(ctx context.Context) {
	c.world.running.Go(func() { c.run(ctx) })
	c.world.running.Go(func() { c.sendMessages(ctx) })
}

// want changes what the client is to do.
func (c *client) want(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	select {
	case c.wakes <- struct{}{}:
	default:
	}
}

func (c *client) setOnline(on bool) { c.want(func() { c.online = on }) }
func (c *client) setRoom(room string, in bool) {
	c.want(func() {
		if in {
			c.rooms[room] = true
		} else {
			delete(c.rooms, room)
		}
	})
}

// drop loses the connection without a word; the client connects again.
func (c *client) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.nc.Close()
	}
	c.edge++
}

// queue has the client send a message to a room.
func (c *client) queue(room string) {
	c.mu.Lock()
	c.sent++
	m := message{room: room, id: fmt.Sprintf("%s-%d", c.name, c.sent)}
	c.mu.Unlock()
	select {
	case c.send <- m:
	default:
	}
}

// state returns what the client wants, and its connection.
func (c *client) state() (online bool, rooms []string, current *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for room := range c.rooms {
		rooms = append(rooms, room)
	}
	slices.Sort(rooms)
	return c.online, rooms, c.conn
}

func (c *client) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(retryPause/2 + time.Duration(c.rng.Int64N(int64(retryPause)))):
	}
}

// run keeps the client connected while it wants to be.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		if online, _, _ := c.state(); !online {
			select {
			case <-ctx.Done():
			case <-c.wakes:
			}
			continue
		}
		conn, err := c.connect(ctx)
		if err != nil {
			c.mu.Lock()
			c.edge++
			c.mu.Unlock()
			c.pause(ctx)
			continue
		}
		var reading sync.WaitGroup
		reading.Go(conn.read)
		c.follow(ctx, conn)
		conn.nc.Close()
		reading.Wait()
		c.mu.Lock()
		c.conn = nil
		c.mu.Unlock()
		c.pause(ctx)
	}
}

// connect opens a connection.
func (c *client) connect(ctx context.Context) (*conn, error) {
	edges := c.world.edges()
	c.mu.Lock()
	edge := edges[c.edge%len(edges)]
	c.mu.Unlock()
	token := devtoken.Mint([]byte(secret), c.user, c.user, time.Now(), 24*time.Hour)
	d := ws.Dialer{
		Protocols: []string{"confab.v1"}, Timeout: 5 * time.Second,
		Header:  ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + token}}),
		NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.world.dial(ctx, edge) },
	}
	nc, early, _, err := d.Dial(ctx, "ws://"+edge+"/ws")
	if err != nil {
		return nil, err
	}
	var in io.Reader = nc
	if early != nil {
		in = early
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns++
	c.conn = newConn(c, edge, fmt.Sprintf("%s.%d", c.name, c.conns), nc, in)
	return c.conn, nil
}

// follow keeps the connection in the wanted rooms until it ends or is not wanted.
func (c *client) follow(ctx context.Context, conn *conn) {
	for {
		online, rooms, _ := c.state()
		if !online {
			conn.closeNormally()
			return
		}
		if err := conn.arrange(ctx, rooms); err != nil {
			select {
			case <-ctx.Done():
				return
			case <-conn.ended:
				return
			case <-time.After(retryPause):
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-conn.ended:
			return
		case <-c.wakes:
		}
	}
}

// received returns the seq of the newest message of a room, over all connections.
func (c *client) received(room string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last[room]
}

func (c *client) setReceived(room string, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[room] = max(c.last[room], seq)
}

// sendMessages sends one message after another.
func (c *client) sendMessages(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-c.send:
			c.sendMessage(ctx, m)
		}
	}
}

// sendMessage repeats a message until it is acknowledged or refused, or the client has left
// the room.
func (c *client) sendMessage(ctx context.Context, m message) {
	for ctx.Err() == nil {
		online, rooms, conn := c.state()
		if !online || !slices.Contains(rooms, m.room) {
			return
		}
		if conn != nil && conn.in(m.room) {
			if c.attempt(ctx, conn, m) {
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

// attempt sends a message once, and reports whether its outcome is known.
func (c *client) attempt(ctx context.Context, conn *conn, m message) (known bool) {
	c.world.history.Add(histories.Event{Kind: histories.Invoke, Client: c.name, Room: m.room, ID: m.id})
	var sent struct {
		Message   struct{ Seq uint64 }
		Duplicate bool
	}
	err := conn.request(ctx, "sendMessage", map[string]any{"roomId": m.room, "content": m.id, "clientMessageId": m.id}, &sent)
	kind := histories.OK
	if err != nil {
		kind = histories.Info
		if refused, ok := errors.AsType[*code.Error](err); ok && !refused.Code.Unknown() {
			kind = histories.Fail
			known = refused.Code == code.RateLimited
		}
		c.world.probe.sendFailed(err)
	} else {
		known = true
		c.world.probe.sendWorked()
	}
	c.world.history.Add(histories.Event{Kind: kind, Client: c.name, Room: m.room, ID: m.id, Seq: sent.Message.Seq})
	return known
}

// ask sends a request whose answer does not matter, if the client is connected.
func (c *client) ask(ctx context.Context, event string, payload any) {
	if _, _, conn := c.state(); conn != nil {
		_ = conn.request(ctx, event, payload, nil)
	}
}
