package client

import (
	"encoding/json"
	"time"

	"github.com/gobwas/ws"
)

// deliver gives a server event to the user, unless both links of a
// make-before-break carried it and it was given already.
func (c *Client) deliver(l *link, f frame) {
	switch f.Event {
	case "ping":
		if err := l.write(ws.OpText, encode(frame{Event: "heartbeat"})); err != nil {
			l.end(err)
		}
		return
	case "reconnectSoon":
		var m struct {
			AfterMs int64 `json:"afterMs"`
		}
		if json.Unmarshal(f.Data, &m) == nil {
			select {
			case c.moved <- time.Duration(m.AfterMs) * time.Millisecond:
			default:
			}
		}
	}
	e := Event{Name: f.Event, Data: f.Data}
	c.deliverMu.Lock()
	defer c.deliverMu.Unlock()
	if c.fresh(&e) {
		c.hand(e)
	}
}

// fresh notes how far a room has been delivered, and tells whether e is new.
func (c *Client) fresh(e *Event) bool {
	var m struct {
		RoomID string `json:"roomId"`
		Seq    uint64 `json:"seq"`
		To     uint64 `json:"to"`
	}
	switch e.Name {
	case "receiveMessage", "gap":
		if json.Unmarshal(e.Data, &m) != nil {
			return false
		}
	default:
		return true
	}
	e.Room, e.Seq = m.RoomID, max(m.Seq, m.To)
	c.mu.Lock()
	defer c.mu.Unlock()
	last, joined := c.rooms[e.Room]
	if joined && e.Seq <= last {
		return false
	}
	if joined {
		c.rooms[e.Room] = e.Seq
	}
	return true
}

// give hands over an event of the client's own.
func (c *Client) give(e Event) {
	c.deliverMu.Lock()
	defer c.deliverMu.Unlock()
	c.hand(e)
}

// hand gives e to the user. While the user is busy nothing is read, and the
// server sees a slow consumer; after Run's end events are dropped.
func (c *Client) hand(e Event) {
	if c.opts.OnEvent != nil {
		c.opts.OnEvent(e)
		return
	}
	select {
	case c.events <- e:
	case <-c.stop:
	}
}
