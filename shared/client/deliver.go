package client

import (
	"encoding/json"
	"time"

	"github.com/gobwas/ws"
)

// deliver passes a server event to the user. During a make-before-break reconnect both
// links carry an event; deliver drops the second copy.
func (c *Client) deliver(l *link, f frame) {
	switch f.Event {
	case "ping":
		if err := l.write(ws.OpText, encode(frame{Event: "heartbeat"})); err != nil {
			l.fail(err)
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
		c.emit(e)
	}
}

// fresh reports whether e is new, and records how far its room has been delivered.
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

// deliverLocal passes one of the client's own events to the user.
func (c *Client) deliverLocal(e Event) {
	c.deliverMu.Lock()
	defer c.deliverMu.Unlock()
	c.emit(e)
}

// emit passes e to the user. While the user is busy the connection is not read, so the
// server sees a slow consumer. After Run has ended, events are dropped.
func (c *Client) emit(e Event) {
	if c.opts.OnEvent != nil {
		c.opts.OnEvent(e)
		return
	}
	select {
	case c.events <- e:
	case <-c.stop:
	}
}
