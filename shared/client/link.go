package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/confab-chat/confab/proto/code"
)

const (
	subprotocol = "confab.v1"
	// maxFrame bounds the size of a received message; history pages are the largest.
	maxFrame = 4 << 20
	// silence is how long a link may receive nothing before it counts as lost. The server
	// pings every 30 s.
	silence = 75 * time.Second
	// writeWait bounds one write; a peer that does not read blocks it.
	writeWait = 10 * time.Second
)

// frame is one frame of the native protocol, in either direction.
type frame struct {
	ID    uint64          `json:"id,omitempty"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// reply is the outcome of one request.
type reply struct {
	data json.RawMessage
	err  error
}

// waiter is a request waiting for its reply.
type waiter struct {
	got chan reply // capacity 1
	// first, if not nil, is called with a successful reply before any later event is
	// delivered. It runs on the link's reader.
	first func(json.RawMessage)
}

// link is one WebSocket connection and its pending requests.
type link struct {
	// Static after construction.
	conn net.Conn
	in   io.Reader

	writeMu sync.Mutex // serializes writes to conn
	buf     []byte     // guarded by writeMu

	mu      sync.Mutex // guards the following
	waiting map[uint64]waiter
	nextID  uint64
	lost    error // why the link ended; set once
}

// dial opens a link. If the server refuses the handshake, the error is a *code.Error.
func dial(ctx context.Context, url, token string, header http.Header) (*link, error) {
	h := header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	var refusal []byte
	d := ws.Dialer{
		Protocols: []string{subprotocol},
		Header:    ws.HandshakeHeaderHTTP(h),
		Timeout:   10 * time.Second,
		OnStatusError: func(_ int, _ []byte, resp io.Reader) {
			refusal, _ = io.ReadAll(io.LimitReader(resp, 16<<10))
		},
	}
	conn, buffered, _, err := d.Dial(ctx, url)
	if err != nil {
		if refused := refusalOf(refusal); refused != nil {
			return nil, refused
		}
		return nil, fmt.Errorf("connect: %w", err)
	}
	var in io.Reader = conn
	if buffered != nil {
		in = buffered
	}
	return &link{conn: conn, in: in, waiting: make(map[uint64]waiter)}, nil
}

// refusalOf returns the error object of an HTTP response, or nil.
func refusalOf(answer []byte) *code.Error {
	start := -1
	for i, b := range answer {
		if b == '{' {
			start = i
			break
		}
	}
	if start < 0 {
		return nil
	}
	return errorOf(answer[start:])
}

// errorOf decodes an error object; nil if data is not one.
func errorOf(data []byte) *code.Error {
	var o struct {
		Error        code.Code `json:"error"`
		Message      string    `json:"message"`
		RetryAfterMs int64     `json:"retryAfterMs"`
		Event        string    `json:"event"`
		Ref          string    `json:"ref"`
	}
	if json.Unmarshal(data, &o) != nil || o.Error == "" {
		return nil
	}
	return &code.Error{
		Code: o.Error, Message: o.Message, Event: o.Event, Ref: o.Ref,
		RetryAfter: time.Duration(o.RetryAfterMs) * time.Millisecond,
	}
}

// read passes every server event to deliver, in order, and resolves replies, until the
// link ends. It returns a *CloseError if the server sent a close frame.
func (l *link) read(deliver func(frame)) error {
	r := wsutil.Reader{
		Source:         bufio.NewReaderSize(deadlineReader{l}, 4096),
		State:          ws.StateClientSide,
		MaxFrameSize:   maxFrame,
		OnIntermediate: l.control,
	}
	for {
		hdr, err := r.NextFrame()
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if hdr.OpCode.IsControl() {
			if err := l.control(hdr, &r); err != nil {
				return err
			}
			continue
		}
		payload, err := io.ReadAll(io.LimitReader(&r, maxFrame))
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		var f frame
		if err := json.Unmarshal(payload, &f); err != nil {
			return fmt.Errorf("server sent no native frame: %w", err)
		}
		if f.ID != 0 {
			l.resolve(f)
			continue
		}
		deliver(f)
	}
}

func (l *link) control(hdr ws.Header, in io.Reader) error {
	payload, err := io.ReadAll(io.LimitReader(in, hdr.Length))
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	switch hdr.OpCode {
	case ws.OpPing:
		return l.write(ws.OpPong, payload)
	case ws.OpClose:
		status, reason := ws.ParseCloseFrameData(payload)
		_ = l.write(ws.OpClose, ws.NewCloseFrameBody(status, "")) // the peer may be gone already
		return &CloseError{Code: code.Close(status), Reason: reason}
	}
	return nil
}

// request sends one event and waits for its reply. After ErrLost the outcome is unknown.
func (l *link) request(ctx context.Context, event string, data json.RawMessage, first func(json.RawMessage)) (json.RawMessage, error) {
	l.mu.Lock()
	if l.lost != nil {
		l.mu.Unlock()
		return nil, ErrLost
	}
	l.nextID++
	id, got := l.nextID, make(chan reply, 1)
	l.waiting[id] = waiter{got, first}
	l.mu.Unlock()

	payload, err := json.Marshal(frame{ID: id, Event: event, Data: data})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", event, err)
	}
	if err := l.write(ws.OpText, payload); err != nil {
		l.fail(err)
	}
	select {
	case r := <-got:
		return r.data, r.err
	case <-ctx.Done():
		l.mu.Lock()
		delete(l.waiting, id)
		l.mu.Unlock()
		return nil, ctx.Err()
	}
}

func (l *link) resolve(f frame) {
	l.mu.Lock()
	w, waits := l.waiting[f.ID]
	delete(l.waiting, f.ID)
	l.mu.Unlock()
	if !waits {
		return
	}
	if f.Event == "error" {
		if refused := errorOf(f.Data); refused != nil {
			w.got <- reply{err: refused}
			return
		}
	}
	if w.first != nil {
		w.first(f.Data)
	}
	w.got <- reply{data: f.Data}
}

func (l *link) write(op ws.OpCode, payload []byte) error {
	l.writeMu.Lock()
	defer l.writeMu.Unlock()
	f := ws.MaskFrameInPlace(ws.NewFrame(op, true, append(l.buf[:0], payload...)))
	l.buf = f.Payload
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	return ws.WriteFrame(l.conn, f)
}

// close sends a close frame with status and closes the connection.
func (l *link) close(status ws.StatusCode) {
	_ = l.write(ws.OpClose, ws.NewCloseFrameBody(status, "")) // best effort: the connection is closed in any case
	l.fail(errors.New("closed"))
}

// fail closes the connection and fails its pending requests; later calls do nothing.
func (l *link) fail(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != nil {
		return
	}
	l.lost = cause
	l.conn.Close()
	for id, w := range l.waiting {
		delete(l.waiting, id)
		w.got <- reply{err: ErrLost}
	}
}

// deadlineReader fails if the peer sends nothing for silence.
type deadlineReader struct{ l *link }

func (r deadlineReader) Read(p []byte) (int, error) {
	if err := r.l.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return r.l.in.Read(p)
}
