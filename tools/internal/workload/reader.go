package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/confab-chat/confab/tools/internal/histories"
)

// reader reads one room over bare connections, one after another, without the client that would
// hide a doubled message. Each connection is a view of its own, which starts where the previous
// one ended.
type reader struct {
	// Static.
	w    *Workload
	name string
	room string
	urls []string
	stay time.Duration // about how long it stays on a connection; 0: until the connection is lost

	rng *rand.Rand // owned by its goroutine

	mu   sync.Mutex // guards the following
	conn int        // number of the connection
	last uint64     // highest seq received
}

// AddReaders adds a reader of each room. It moves from one URL to the next after about stay (0:
// only when its connection is lost) and resumes there.
func (w *Workload) AddReaders(seed uint64, stay time.Duration, urls ...string) {
	for i, room := range w.rooms {
		n := len(w.readers)
		r := &reader{
			w: w, name: fmt.Sprint("reader-", n), room: room, stay: stay,
			urls: append(urls[i%len(urls):len(urls):len(urls)], urls[:i%len(urls)]...),
			rng:  rand.New(rand.NewPCG(seed, uint64(n))),
		}
		w.readers = append(w.readers, r)
		w.running.Go(r.run)
	}
}

// view returns the name of the current connection's view.
func (r *reader) view() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%s.%d", r.name, r.conn)
}

func (r *reader) received() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *reader) run() {
	for n := 0; r.w.ctx.Err() == nil; n++ {
		r.readConn(r.urls[n%len(r.urls)])
		select {
		case <-time.After(20*time.Millisecond + time.Duration(r.rng.IntN(200))*time.Millisecond):
		case <-r.w.ctx.Done():
		}
	}
}

// readConn reads over one connection until it ends.
func (r *reader) readConn(url string) {
	d := ws.Dialer{
		Protocols: []string{"confab.v1"}, Timeout: 5 * time.Second,
		Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + Token(r.name)}}),
	}
	conn, early, _, err := d.Dial(r.w.ctx, url)
	if err != nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(r.w.ctx, func() { conn.Close() })
	defer stop()
	if r.stay > 0 {
		leave := time.AfterFunc(r.stay/2+time.Duration(r.rng.Int64N(int64(r.stay))), func() {
			if r.w.sendCtx.Err() == nil { // the last connection stays open, to be checked
				conn.Close()
			}
		})
		defer leave.Stop()
	}
	r.mu.Lock()
	r.conn++
	since := r.last
	r.mu.Unlock()
	r.w.rec.Add(histories.Event{Kind: histories.Sub, Client: r.view(), Room: r.room, Seq: since})
	join := fmt.Appendf(nil, `{"id":1,"event":"joinRoom","data":{"roomId":%q,"since":%d}}`, r.room, since)
	if err := wsutil.WriteClientText(conn, join); err != nil {
		return
	}
	rw := struct {
		io.Reader
		io.Writer
	}{conn, conn}
	if early != nil {
		rw.Reader = early
	}
	for {
		frame, err := wsutil.ReadServerText(rw)
		if err != nil || r.recordFrame(frame) != nil {
			return
		}
	}
}

var errRefused = errors.New("refused")

// recordFrame records what the server sends. An error ends the connection.
func (r *reader) recordFrame(b []byte) error {
	var f struct {
		ID    uint64
		Event string
		Data  struct {
			Content   string
			Seq       uint64
			From, To  uint64
			Recovered *bool
			RoomID    string
		}
	}
	if err := json.Unmarshal(b, &f); err != nil {
		r.w.tb.Errorf("%s: %v in %.200s", r.name, err, b)
		return err
	}
	switch {
	case f.ID == 1 && f.Event == "error": // the room has no owner now
		return errRefused
	case f.Event == "receiveMessage":
		r.w.rec.Add(histories.Event{Kind: histories.Recv, Client: r.view(), Room: r.room, ID: nameOf(f.Data.Content), Seq: f.Data.Seq})
		r.advance(f.Data.Seq)
	case f.Event == "gap":
		r.w.rec.Add(histories.Event{Kind: histories.Gap, Client: r.view(), Room: r.room, Seq: f.Data.From, To: f.Data.To})
		r.advance(f.Data.To)
	}
	return nil
}

func (r *reader) advance(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = max(r.last, seq)
}
