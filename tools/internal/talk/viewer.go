package talk

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

	"github.com/confab-chat/confab/tools/internal/history"
)

// viewer reads one room over bare connections, one after another, with nothing in
// between that would forgive a doubled message. Each connection is a view of its own,
// from where the one before ended.
type viewer struct {
	k    *Talk
	name string
	room string
	urls []string
	stay time.Duration // about how long it stays on a connection; 0: until it is lost
	rng  *rand.Rand    // of its goroutine

	mu   sync.Mutex // guards the following
	conn int        // number of the connection
	last uint64     // highest seq shown
}

// View adds a viewer of each room that goes from one url to the next about each stay
// (0: only when its connection is lost), and resumes.
func (k *Talk) View(seed uint64, stay time.Duration, urls ...string) {
	for i, room := range k.rooms {
		n := len(k.viewers)
		v := &viewer{
			k: k, name: fmt.Sprint("viewer-", n), room: room, stay: stay,
			urls: append(urls[i%len(urls):len(urls):len(urls)], urls[:i%len(urls)]...),
			rng:  rand.New(rand.NewPCG(seed, uint64(n))),
		}
		k.viewers = append(k.viewers, v)
		k.running.Go(v.run)
	}
}

// view is the name of the present connection's view.
func (v *viewer) view() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return fmt.Sprintf("%s.%d", v.name, v.conn)
}

func (v *viewer) shown() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last
}

func (v *viewer) run() {
	for n := 0; v.k.ctx.Err() == nil; n++ {
		v.watch(v.urls[n%len(v.urls)])
		select {
		case <-time.After(20*time.Millisecond + time.Duration(v.rng.IntN(200))*time.Millisecond):
		case <-v.k.ctx.Done():
		}
	}
}

// watch is one connection, from its beginning to its end.
func (v *viewer) watch(url string) {
	d := ws.Dialer{
		Protocols: []string{"confab.v1"}, Timeout: 5 * time.Second,
		Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + Token(v.name)}}),
	}
	conn, early, _, err := d.Dial(v.k.ctx, url)
	if err != nil {
		return
	}
	defer conn.Close()
	over := context.AfterFunc(v.k.ctx, func() { conn.Close() })
	defer over()
	if v.stay > 0 {
		leave := time.AfterFunc(v.stay/2+time.Duration(v.rng.Int64N(int64(v.stay))), func() {
			if v.k.talk.Err() == nil { // who is there at the end stays, to be judged
				conn.Close()
			}
		})
		defer leave.Stop()
	}
	v.mu.Lock()
	v.conn++
	since := v.last
	v.mu.Unlock()
	v.k.rec.Add(history.Event{Kind: history.Sub, Client: v.view(), Room: v.room, Seq: since})
	join := fmt.Appendf(nil, `{"id":1,"event":"joinRoom","data":{"roomId":%q,"since":%d}}`, v.room, since)
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
		if err != nil || v.take(frame) != nil {
			return
		}
	}
}

var errRefused = errors.New("refused")

// take notes what the server says; an error ends the connection.
func (v *viewer) take(b []byte) error {
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
		v.k.tb.Errorf("%s: %v in %.200s", v.name, err, b)
		return err
	}
	switch {
	case f.ID == 1 && f.Event == "error": // the owner is away
		return errRefused
	case f.Event == "receiveMessage":
		v.k.rec.Add(history.Event{Kind: history.Recv, Client: v.view(), Room: v.room, ID: nameOf(f.Data.Content), Seq: f.Data.Seq})
		v.saw(f.Data.Seq)
	case f.Event == "gap":
		v.k.rec.Add(history.Event{Kind: history.Gap, Client: v.view(), Room: v.room, Seq: f.Data.From, To: f.Data.To})
		v.saw(f.Data.To)
	}
	return nil
}

func (v *viewer) saw(seq uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = max(v.last, seq)
}
