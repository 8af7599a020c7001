package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/confab-chat/confab/proto/code"
)

type joinRoom struct {
	RoomID string  `json:"roomId"`
	Since  *uint64 `json:"since,omitempty"`
}

// Author is the user who wrote a message.
type Author struct {
	ID       string `json:"id"`
	Username string `json:"username"`
}

// Message is a message as the server sends it.
type Message struct {
	ID        string    `json:"id"`
	Content   string    `json:"content"`
	Author    Author    `json:"author"`
	RoomID    string    `json:"roomId"`
	Type      string    `json:"messageType"`
	Seq       uint64    `json:"seq"`
	CreatedAt time.Time `json:"createdAt"`
}

// Joined is the reply to Join.
type Joined struct {
	RoomID      string   `json:"roomId"`
	ActiveUsers []string `json:"activeUsers"`
	Seq         uint64   `json:"seq"`
	Recovered   *bool    `json:"recovered"` // nil without since
}

// Sent is the reply to Send.
type Sent struct {
	Message   Message `json:"message"`
	Duplicate bool    `json:"duplicate"` // an earlier attempt stored the message; Message is that one
}

// History is one page of a room's messages.
type History struct {
	Messages []Message `json:"messages"`
	HasMore  bool      `json:"hasMore"`
}

// Join joins a room and keeps it joined over reconnects. Live messages follow as events.
func (c *Client) Join(ctx context.Context, room string) (Joined, error) {
	return c.join(ctx, joinRoom{RoomID: room})
}

// JoinSince is Join that first delivers every message after seq; 0 means all retained
// messages.
func (c *Client) JoinSince(ctx context.Context, room string, seq uint64) (Joined, error) {
	return c.join(ctx, joinRoom{RoomID: room, Since: &seq})
}

func (c *Client) join(ctx context.Context, j joinRoom) (Joined, error) {
	var joined Joined
	err := c.do(ctx, "joinRoom", j, &joined, func(data json.RawMessage) {
		// Runs on the reader before the first message, so that no seq is missed.
		var head Joined
		if json.Unmarshal(data, &head) != nil {
			return
		}
		from := head.Seq
		if j.Since != nil {
			from = min(from, *j.Since)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, again := c.rooms[j.RoomID]; !again {
			c.rooms[j.RoomID] = from
		}
	})
	return joined, err
}

// Leave leaves a room; a reconnect does not rejoin it.
func (c *Client) Leave(ctx context.Context, room string) error {
	c.forget(room)
	return c.do(ctx, "leaveRoom", joinRoom{RoomID: room}, nil, nil)
}

func (c *Client) forget(room string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rooms, room)
}

// Seq returns the seq of the last delivered message of a joined room.
func (c *Client) Seq(room string) (seq uint64, joined bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seq, joined = c.rooms[room]
	return seq, joined
}

// sendPause is the pause between attempts whose outcome is unknown.
const sendPause = 200 * time.Millisecond

// Send sends a text message and returns when it is stored. It repeats an attempt whose
// outcome is unknown (connection lost, UNAVAILABLE, INTERNAL) with the same id until ctx
// ends, so that the message is stored once. It waits when a rate limit refuses it. If ctx
// ends first, the error wraps that of the last attempt and the outcome is unknown. The
// outcome is also unknown if the error wraps ErrUncertain.
func (c *Client) Send(ctx context.Context, room, content string) (Sent, error) {
	return c.SendID(ctx, room, content, rand.Text())
}

// SendID is Send with a clientMessageId chosen by the caller, for retries across processes.
func (c *Client) SendID(ctx context.Context, room, content, id string) (Sent, error) {
	uncertain := false
	for {
		sent, err := c.TrySend(ctx, room, content, id)
		if err == nil {
			return sent, nil
		}
		pause := sendPause
		if refused, ok := errors.AsType[*code.Error](err); ok && refused.Code == code.RateLimited {
			pause = refused.RetryAfter
		} else if unknown(err) {
			uncertain = true
		} else if uncertain {
			return Sent{}, fmt.Errorf("%w: %w", ErrUncertain, err)
		} else {
			return Sent{}, err
		}
		if !sleep(ctx, pause) {
			return Sent{}, fmt.Errorf("send: %w (%w)", ctx.Err(), err)
		}
	}
}

// TrySend makes one attempt. Its outcome is unknown after ErrLost, UNAVAILABLE, INTERNAL
// and the end of ctx; any other *code.Error means that the message was not stored.
func (c *Client) TrySend(ctx context.Context, room, content, id string) (Sent, error) {
	var sent Sent
	err := c.do(ctx, "sendMessage", struct {
		RoomID   string `json:"roomId"`
		Content  string `json:"content"`
		ClientID string `json:"clientMessageId"`
	}{room, content, id}, &sent, nil)
	return sent, err
}

// HistoryBefore returns up to limit messages before seq, in ascending order; seq 0 means
// the newest messages.
func (c *Client) HistoryBefore(ctx context.Context, room string, seq uint64, limit int) (History, error) {
	return c.history(ctx, struct {
		RoomID string `json:"roomId"`
		Before uint64 `json:"before,omitempty"`
		Limit  int    `json:"limit"`
	}{room, seq, limit})
}

// HistoryAfter returns up to limit messages after seq, in ascending order.
func (c *Client) HistoryAfter(ctx context.Context, room string, seq uint64, limit int) (History, error) {
	return c.history(ctx, struct {
		RoomID string `json:"roomId"`
		After  uint64 `json:"after"`
		Limit  int    `json:"limit"`
	}{room, seq, limit})
}

func (c *Client) history(ctx context.Context, q any) (History, error) {
	var h History
	err := c.do(ctx, "getHistory", q, &h, nil)
	return h, err
}

// Request sends any client event and decodes its reply into out, which may be nil. It
// waits for a connection until ctx ends. Errors: the *code.Error with which the server
// refused, ErrLost, the error of ctx, or the reason why Run ended.
func (c *Client) Request(ctx context.Context, event string, payload, out any) error {
	return c.do(ctx, event, payload, out, nil)
}

func (c *Client) do(ctx context.Context, event string, payload, out any, first func(json.RawMessage)) error {
	l, err := c.current(ctx)
	if err != nil {
		return err
	}
	var data json.RawMessage
	if payload != nil {
		if data, err = json.Marshal(payload); err != nil {
			return fmt.Errorf("encode %s: %w", event, err)
		}
	}
	got, err := l.request(ctx, event, data, first)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(got, out); err != nil {
		return fmt.Errorf("decode the reply to %s: %w", event, err)
	}
	return nil
}

// current returns the link in use. It waits for one until ctx or Run ends.
func (c *Client) current(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, ready, ended := c.link, c.ready, c.ended
		c.mu.Unlock()
		switch {
		case ended != nil:
			return nil, ended
		case l != nil:
			return l, nil
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// encode is json.Marshal for values of this package, whose encoding cannot fail.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
