package client_test

import (
	"cmp"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

type message struct {
	Seq     uint64            `json:"seq"`
	RoomID  string            `json:"roomId"`
	Content string            `json:"content"`
	Author  map[string]string `json:"author"`
	cid     string
}

// fake is an edge with one room, as far as the client needs it: joining with since,
// sending with clientMessageId, and faults on demand.
type fake struct {
	ln net.Listener

	mu       sync.Mutex // guards the following
	log      []message
	conns    map[net.Conn]*sync.Mutex // each with the lock of its writes; joined
	sends    int
	loseAcks int    // so many sends are stored, then the connection is cut
	limit    int    // so many sends are refused
	limitAs  string // with this code; default RATE_LIMITED
	closed   bool   // all sends are refused 403, from the first lost acknowledgement on
	refuse   int    // HTTP status of handshakes, 0: accepted
}

func startFake(t *testing.T) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{ln: ln, conns: map[net.Conn]*sync.Mutex{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() { ln.Close(); f.cut(); serving.Wait() })
	return f
}

func (f *fake) url() string { return "ws://" + f.ln.Addr().String() + "/ws" }

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// cut closes every connection without a close frame.
func (f *fake) cut() { f.set(func() { f.cutLocked() }) }

func (f *fake) cutLocked() {
	for c := range f.conns {
		c.Close()
	}
}

// broadcast sends an event to every connection.
func (f *fake) broadcast(event string, data any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c, mu := range f.conns {
		write(c, mu, 0, event, data)
	}
}

// store accepts a message as if another user had sent it.
func (f *fake) store(content string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.storeLocked(content, "")
}

func (f *fake) storeLocked(content, cid string) message {
	m := message{Seq: uint64(len(f.log) + 1), RoomID: "r", Content: content, cid: cid, Author: map[string]string{"id": "u"}}
	f.log = append(f.log, m)
	for c, mu := range f.conns {
		write(c, mu, 0, "receiveMessage", m)
	}
	return m
}

func write(c net.Conn, mu *sync.Mutex, id uint64, event string, data any) {
	b, _ := json.Marshal(map[string]any{"id": id, "event": event, "data": data})
	if id == 0 {
		b, _ = json.Marshal(map[string]any{"event": event, "data": data})
	}
	mu.Lock()
	defer mu.Unlock()
	_ = wsutil.WriteServerText(c, b) // a cut connection is part of the tests
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	f.mu.Lock()
	refuse := f.refuse
	f.mu.Unlock()
	up := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == "confab.v1" }}
	if refuse != 0 {
		up.OnBeforeUpgrade = func() (ws.HandshakeHeader, error) {
			return nil, ws.RejectConnectionError(ws.RejectionStatus(refuse),
				ws.RejectionHeader(ws.HandshakeHeaderHTTP(http.Header{"Content-Type": {"application/json"}})),
				ws.RejectionReason(`{"success":false,"error":"UNAUTHORIZED","message":"no","statusCode":401}`))
		}
	}
	if _, err := up.Upgrade(c); err != nil {
		return
	}
	mu := &sync.Mutex{}
	f.set(func() { f.conns[c] = mu })
	defer f.set(func() { delete(f.conns, c) })
	for {
		b, err := wsutil.ReadClientText(c)
		if err != nil {
			return
		}
		var req struct {
			ID    uint64
			Event string
			Data  struct {
				Since                    *uint64
				Content, ClientMessageID string
			}
		}
		if json.Unmarshal(b, &req) != nil {
			return
		}
		f.mu.Lock()
		switch req.Event {
		case "joinRoom":
			f.join(c, mu, req.ID, req.Data.Since)
		case "sendMessage":
			f.send(c, mu, req.ID, req.Data.Content, req.Data.ClientMessageID)
		}
		f.mu.Unlock()
	}
}

func (f *fake) join(c net.Conn, mu *sync.Mutex, id uint64, since *uint64) {
	write(c, mu, id, "joinedRoom", map[string]any{"roomId": "r", "seq": len(f.log), "success": true, "activeUsers": []string{}})
	if since != nil {
		for _, m := range f.log[min(int(*since), len(f.log)):] {
			write(c, mu, 0, "receiveMessage", m)
		}
	}
}

func (f *fake) send(c net.Conn, mu *sync.Mutex, id uint64, content, cid string) {
	f.sends++
	if f.limit > 0 {
		f.limit--
		write(c, mu, id, "error", map[string]any{"success": false, "error": cmp.Or(f.limitAs, "RATE_LIMITED"), "message": "slow down", "statusCode": 429, "retryAfterMs": 1})
		return
	}
	if f.closed && f.loseAcks == 0 {
		write(c, mu, id, "error", map[string]any{"success": false, "error": "NOT_IN_ROOM", "message": "no", "statusCode": 403})
		return
	}
	for _, m := range f.log {
		if m.cid == cid {
			write(c, mu, id, "messageSent", map[string]any{"message": m, "success": true, "duplicate": true})
			return
		}
	}
	m := f.storeLocked(content, cid)
	if f.loseAcks > 0 {
		f.loseAcks--
		f.cutLocked()
		return
	}
	write(c, mu, id, "messageSent", map[string]any{"message": m, "success": true})
}
