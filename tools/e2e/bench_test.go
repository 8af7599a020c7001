package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/tools/internal/suitetest"
)

const (
	benchSecret = "CONFAB_AUTH_HMAC_SECRET=a-secret-of-the-tests-with-more-than-32-bytes"
	unlimited   = "CONFAB_LIMIT_MESSAGES=100000000"
)

func benchToken(user string) string {
	_, value, _ := strings.Cut(benchSecret, "=")
	return devtoken.Mint([]byte(value), user, user, time.Now(), time.Hour)
}

// line is a bare connection of a user.
type line struct {
	net.Conn
	frames io.Reader
}

func dial(b *testing.B, s *suitetest.Suite, user string) *line {
	b.Helper()
	d := ws.Dialer{Protocols: []string{"confab.v1"}, Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + benchToken(user)}})}
	conn, early, _, err := d.Dial(b.Context(), s.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	if early == nil {
		early = bufio.NewReaderSize(conn, 64<<10)
	}
	return &line{Conn: conn, frames: early}
}

// next is the next frame with one of the given beginnings.
func (l *line) next(begins ...string) ([]byte, error) {
	rw := struct {
		io.Reader
		io.Writer
	}{l.frames, l.Conn}
	for {
		frame, err := wsutil.ReadServerText(rw)
		if err != nil {
			return nil, err
		}
		for _, begin := range begins {
			if bytes.HasPrefix(frame, []byte(begin)) {
				return frame, nil
			}
		}
	}
}

func (l *line) do(b *testing.B, id int, event, data, reply string) []byte {
	b.Helper()
	if err := wsutil.WriteClientText(l.Conn, fmt.Appendf(nil, `{"id":%d,"event":%q,"data":%s}`, id, event, data)); err != nil {
		b.Fatal(err)
	}
	frame, err := l.next(fmt.Sprintf(`{"id":%d,`, id))
	if err != nil || !bytes.Contains(frame[:min(len(frame), 80)], []byte(reply)) {
		b.Fatalf("%s: %s %v", event, frame, err)
	}
	return frame
}

// times collects durations of several goroutines.
type times struct {
	mu  sync.Mutex // guards all
	all []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, d)
}

func (t *times) report(b *testing.B, name string, percents ...int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.Sort(t.all)
	for _, p := range percents {
		b.ReportMetric(float64(t.all[(len(t.all)-1)*p/100].Microseconds()), fmt.Sprintf("%s-p%d-us", name, p))
	}
}

// sendLoop sends one message after another on a connection until stop is closed.
func (l *line) sendLoop(b *testing.B, took *times, stop <-chan struct{}) {
	data := `{"roomId":"room-0","content":"` + strings.Repeat("x", 128) + `"}`
	for n := 1000; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		began := time.Now()
		l.do(b, n, "sendMessage", data, "messageSent")
		took.add(time.Since(began))
	}
}

// From sendMessage to its acknowledgement, over a socket, the edge, the owner and the
// log: one after another, and 64 connections at once.
func BenchmarkSendToAck(b *testing.B) {
	for _, durability := range []string{"fast", "durable"} {
		for _, conns := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/conns=%d", durability, conns), func(b *testing.B) {
				s := suitetest.Start(b, benchSecret, unlimited, "CONFAB_DURABILITY="+durability, "CONFAB_LIMIT_JOINS=100000000")
				lines := make([]*line, conns)
				for i := range lines {
					lines[i] = dial(b, s, fmt.Sprint("user-", i))
					room := fmt.Sprintf(`{"roomId":"room-%d"}`, i)
					lines[i].do(b, 1, "joinRoom", room, "joinedRoom")
				}
				var took times
				var left atomic.Int64
				var all sync.WaitGroup
				left.Store(int64(b.N))
				b.ResetTimer()
				for i, l := range lines {
					data := fmt.Sprintf(`{"roomId":"room-%d","content":%q}`, i, strings.Repeat("x", 128))
					all.Go(func() {
						for n := 2; left.Add(-1) >= 0; n++ {
							began := time.Now()
							l.do(b, n, "sendMessage", data, "messageSent")
							took.add(time.Since(began))
						}
					})
				}
				all.Wait()
				b.StopTimer()
				took.report(b, "ack", 50, 99)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
			})
		}
	}
}

// A client reconnects to another edge with 1 000 messages to catch up on: from joinRoom
// {since} to the last of them. Cold: a room whose history has not been read yet (there are
// 40 of them: -benchtime 40x). Warm: a room whose history has been read. And 50 clients at
// once while another one sends to the room, whose acknowledgements are measured.
func BenchmarkResume(b *testing.B) {
	const missed, rooms = 1000, 40
	nats := natstest.Start(b, natstest.Listen)
	env := []string{"CONFAB_NATS_URL=" + nats.URL(), "CONFAB_DURABILITY=fast", benchSecret, unlimited, "CONFAB_LIMIT_JOINS=100000000"}
	home, other := suitetest.Start(b, env...), suitetest.Start(b, env...)
	var all sync.WaitGroup
	for i := range 8 {
		talker := dial(b, home, fmt.Sprint("talker-", i))
		all.Go(func() {
			for r := i; r < rooms; r += 8 {
				talker.do(b, 1, "joinRoom", fmt.Sprintf(`{"roomId":"room-%d"}`, r), "joinedRoom")
				data := fmt.Sprintf(`{"roomId":"room-%d","content":%q}`, r, strings.Repeat("x", 128))
				for n := range missed + 500 {
					talker.do(b, n+2, "sendMessage", data, "messageSent")
				}
			}
		})
	}
	all.Wait()
	// resume returns how long it took; users are many because joins with since are limited.
	var users atomic.Int64
	resume := func(b *testing.B, room string, head uint64) time.Duration {
		l := dial(b, other, fmt.Sprint("user-", users.Add(1)))
		defer l.Close()
		since := head - missed
		last := fmt.Sprintf(`"seq":%d,`, head)
		began := time.Now()
		if err := wsutil.WriteClientText(l.Conn, fmt.Appendf(nil, `{"id":1,"event":"joinRoom","data":{"roomId":%q,"since":%d}}`, room, since)); err != nil {
			b.Error(err)
			return 0
		}
		for n := 0; ; {
			frame, err := l.next(`{"event":"receiveMessage"`, `{"id":1,"event":"error"`)
			if err != nil || bytes.HasPrefix(frame, []byte(`{"id"`)) {
				b.Errorf("after %d messages: %v %s", n, err, frame)
				return 0
			}
			if n++; bytes.Contains(frame, []byte(last)) {
				if n != missed {
					b.Errorf("%d messages up to %d", n, head)
				}
				return time.Since(began)
			}
		}
	}
	head := uint64(missed + 500)
	b.Run("cold", func(b *testing.B) {
		var took times
		for n := 0; b.Loop(); n++ {
			took.add(resume(b, fmt.Sprint("room-", n%rooms), head))
		}
		took.report(b, "resume", 50, 95)
	})
	b.Run("warm", func(b *testing.B) {
		var took times
		for b.Loop() {
			took.add(resume(b, "room-0", head))
		}
		took.report(b, "resume", 50, 95)
	})
	for _, talking := range []bool{false, true} {
		b.Run(fmt.Sprintf("50-at-once/talking=%v", talking), func(b *testing.B) {
			var took, acks times
			ctx, cancel := context.WithCancel(b.Context())
			var talk sync.WaitGroup
			if talking {
				l := dial(b, home, "talker")
				l.do(b, 1, "joinRoom", `{"roomId":"room-0"}`, "joinedRoom")
				talk.Go(func() { l.sendLoop(b, &acks, ctx.Done()) })
			}
			for b.Loop() {
				var herd sync.WaitGroup
				for range 50 {
					herd.Go(func() { took.add(resume(b, "room-0", head)) })
				}
				herd.Wait()
			}
			cancel()
			talk.Wait()
			took.report(b, "resume", 50, 95)
			if talking {
				acks.report(b, "ack", 50, 99)
			}
		})
	}
}
