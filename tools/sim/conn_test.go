package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/tools/internal/histories"
)

// answerTime is the longest time between a request and its answer: 5 s, and the way.
const answerTime = 5*time.Second + 500*time.Millisecond

var errLost = errors.New("the connection is lost")

// conn is one connection of a client, with what its user is shown on it.
type conn struct {
	// Static.
	client *client
	edge   string
	name   string // of its views in the history
	nc     net.Conn
	reader io.Reader
	opened time.Time
	ended  chan struct{} // closed by read

	writeMu sync.Mutex // serializes writes

	mu       sync.Mutex // guards the following
	nextID   uint64
	waiting  map[uint64]chan frame // capacity 1 each
	joined   map[string]bool
	members  map[string]map[string]bool // by room, as shown
	presence map[string]bool            // the last event about each user: online or offline
}

// frame is one frame from the server.
type frame struct {
	ID    *uint64
	Event string
	Data  json.RawMessage
}

func newConn(c *client, edge, name string, nc net.Conn, in io.Reader) *conn {
	return &conn{
		client: c, edge: edge, name: name, nc: nc, reader: in, opened: time.Now(), ended: make(chan struct{}),
		waiting: make(map[uint64]chan frame), joined: make(map[string]bool), members: make(map[string]map[string]bool),
		presence: make(map[string]bool),
	}
}

// in reports whether the connection is a member of a room.
func (c *conn) in(room string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joined[room]
}

// request sends a request and waits for its reply. The error is errLost, or the server's refusal.
func (c *conn) request(ctx context.Context, event string, payload, out any) error {
	reply := make(chan frame, 1)
	c.mu.Lock()
	c.nextID++
	id := c.nextID
	c.waiting[id] = reply
	c.mu.Unlock()
	start := time.Now()
	if err := c.write(map[string]any{"id": id, "event": event, "data": payload}); err != nil {
		return errLost
	}
	late := time.NewTimer(answerTime)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return errLost
		case <-c.ended:
			return errLost
		case <-late.C:
			c.client.world.violation("%s on %s: %s had no answer after %v", c.name, c.edge, event, answerTime)
		case f := <-reply:
			if waited := time.Since(start); waited > answerTime {
				c.client.world.violation("%s on %s: %s was answered after %v", c.name, c.edge, event, waited)
			}
			if f.Event == "error" {
				refused := &code.Error{}
				var body struct{ Error code.Code }
				if err := json.Unmarshal(f.Data, &body); err != nil {
					return err
				}
				refused.Code = body.Error
				return refused
			}
			if out == nil {
				return nil
			}
			return json.Unmarshal(f.Data, out)
		}
	}
}

// write sends a frame.
func (c *conn) write(frame map[string]any) error {
	text, err := json.Marshal(frame)
	if err != nil {
		return err
	}
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	return wsutil.WriteClientText(c.nc, text)
}

// arrange joins and leaves rooms until the connection is in those that are wanted.
func (c *conn) arrange(ctx context.Context, wanted []string) error {
	c.mu.Lock()
	var leave, join []string
	for room := range c.joined {
		if !slices.Contains(wanted, room) {
			leave = append(leave, room)
		}
	}
	for _, room := range wanted {
		if !c.joined[room] {
			join = append(join, room)
		}
	}
	c.mu.Unlock()
	for _, room := range leave {
		if err := c.request(ctx, "leaveRoom", map[string]any{"roomId": room}, nil); err != nil {
			return err
		}
		c.mu.Lock()
		delete(c.joined, room)
		delete(c.members, room)
		c.mu.Unlock()
	}
	for _, room := range join {
		if err := c.join(ctx, room); err != nil {
			return err
		}
	}
	return nil
}

// join joins a room at the newest message that the client has.
func (c *conn) join(ctx context.Context, room string) error {
	since := c.client.received(room)
	c.client.world.history.Add(histories.Event{Kind: histories.Sub, Client: c.view(room), Room: room, Seq: since})
	var joined struct {
		Seq       uint64
		Recovered bool
	}
	if err := c.request(ctx, "joinRoom", map[string]any{"roomId": room, "since": since}, &joined); err != nil {
		return err
	}
	if joined.Recovered && joined.Seq < since {
		c.client.world.violation("%s on %s: join of %s since %d is answered recovered at %d", c.name, c.edge, room, since, joined.Seq)
	}
	c.mu.Lock()
	c.joined[room] = true
	c.mu.Unlock()
	return nil
}

// view is the name of a room's messages on this connection, in the history.
func (c *conn) view(room string) string { return c.name + "/" + room }

// askPresence returns which of all users are online.
func (c *conn) askPresence(ctx context.Context) (map[string]bool, error) {
	var reply struct {
		PresenceData []struct {
			UserID   string
			IsOnline bool
		}
	}
	if err := c.request(ctx, "getPresence", map[string]any{"userIds": users}, &reply); err != nil {
		return nil, err
	}
	online := make(map[string]bool)
	for _, p := range reply.PresenceData {
		online[p.UserID] = p.IsOnline
	}
	return online, nil
}

// read receives frames until the connection ends.
func (c *conn) read() {
	defer close(c.ended)
	rw := struct {
		io.Reader
		io.Writer
	}{c.reader, io.Discard} // a close frame needs no answer: the connection is closed
	for {
		text, err := wsutil.ReadServerText(rw)
		if err != nil {
			return
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			c.client.world.violation("%s: %v in %.200s", c.name, err, text)
			return
		}
		if f.ID == nil {
			c.show(f)
			continue
		}
		c.mu.Lock()
		reply := c.waiting[*f.ID]
		delete(c.waiting, *f.ID)
		c.mu.Unlock()
		if reply == nil {
			c.client.world.violation("%s: second answer to %d: %.200s", c.name, *f.ID, text)
			continue
		}
		reply <- f
	}
}

// show applies a server event to what the user is shown.
func (c *conn) show(f frame) {
	var e struct {
		RoomID, UserID string
		Users          []struct{ UserID string }
		Content        string
		Seq            uint64
		From, To       uint64
	}
	if err := json.Unmarshal(f.Data, &e); err != nil {
		c.client.world.violation("%s: %v in %s", c.name, err, f.Data)
		return
	}
	w := c.client.world
	switch f.Event {
	case "ping":
		c.write(map[string]any{"event": "heartbeat"})
	case "receiveMessage":
		w.history.Add(histories.Event{Kind: histories.Recv, Client: c.view(e.RoomID), Room: e.RoomID, ID: e.Content, Seq: e.Seq})
		c.client.setReceived(e.RoomID, e.Seq)
	case "gap":
		w.history.Add(histories.Event{Kind: histories.Gap, Client: c.view(e.RoomID), Room: e.RoomID, Seq: e.From, To: e.To})
		c.client.setReceived(e.RoomID, e.To)
	case "roomUsers", "userJoined", "userLeft", "userOnline", "userOffline", "userTyping", "presenceUpdate":
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.UserID == c.client.user && f.Event != "presenceUpdate" {
			w.violation("%s: %s about its own user", c.name, f.Event)
			return
		}
		switch f.Event {
		case "roomUsers":
			c.members[e.RoomID] = make(map[string]bool)
			for _, u := range e.Users {
				c.members[e.RoomID][u.UserID] = true
			}
		case "userJoined":
			if m := c.members[e.RoomID]; m != nil {
				m[e.UserID] = true
			}
		case "userLeft":
			if m := c.members[e.RoomID]; m != nil {
				if !m[e.UserID] {
					w.violation("%s at %s: userLeft of %s, who is not shown in %s", c.name, w.now(), e.UserID, e.RoomID)
				}
				delete(m, e.UserID)
			}
		case "userOnline":
			c.presence[e.UserID] = true
		case "userOffline":
			if on, known := c.presence[e.UserID]; known && !on {
				w.violation("%s at %s: second userOffline of %s", c.name, w.now(), e.UserID)
			}
			c.presence[e.UserID] = false
		}
	}
}

// shown returns the users that are shown in a room, with the client's own.
func (c *conn) shown(room string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []string{c.client.user}
	for user := range c.members[room] {
		if user != c.client.user {
			list = append(list, user)
		}
	}
	slices.Sort(list)
	return list
}

// shownOnline returns what the last event about each user said: true is online.
func (c *conn) shownOnline() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.presence)
}

// closeNormally asks the server to treat the end as wanted.
func (c *conn) closeNormally() {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	_ = wsutil.WriteClientMessage(c.nc, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
}

func (w *world) now() string { return fmt.Sprint(time.Since(w.start).Round(time.Millisecond)) }
