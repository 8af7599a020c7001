//go:build linux

package listen_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/listen"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
	"github.com/confab-chat/confab/shared/eventually"
)

// benchEnv makes the test binary the clients of a benchmark: "what addr n".
// In a process of their own they cost the server's CPU figure nothing.
const benchEnv = "CONFAB_TEST_LISTEN_CLIENTS"

// clients starts the other process and stops it with the benchmark.
func clients(b *testing.B, what, addr string, n int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", benchEnv, what, addr, n))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("clients: %v", err)
		}
	})
}

// clientsMain is the other process; it ends with its stdin.
func clientsMain() {
	job := os.Getenv(benchEnv)
	if job == "" {
		return
	}
	var what, addr string
	var n int
	fmt.Sscan(job, &what, &addr, &n)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var err error
	if what == "handshake" {
		err = shakeHands(ctx, addr, n)
	} else {
		err = readAlways(ctx, addr, n, what == "echo")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// reader is a client that reads, and when it echoes sends one message for each
// that it gets.
type reader struct {
	t    poll.Transport
	echo []byte
}

func (r *reader) Readable(b []byte) {
	if r.echo != nil {
		r.t.Write(append([]byte(nil), r.echo...))
	}
}
func (r *reader) Writable()    {}
func (r *reader) Closed(error) {}

func readAlways(ctx context.Context, addr string, n int, echo bool) error {
	g, err := poll.New(poll.Options{Loops: 1})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { g.Run(ctx) })
	defer wg.Wait()
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		io.WriteString(c, request("/conformance/echo"))
		if err := g.Attach(c, func(t poll.Transport, _ netip.AddrPort) {
			r := &reader{t: t}
			if echo {
				r.echo = []byte(text(strings.Repeat("m", 128)))
			}
			t.SetHandler(r)
		}); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

func shakeHands(ctx context.Context, addr string, n int) error {
	req := []byte(request("/ws", bearer(), "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Accept-Language: en"))
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			b := make([]byte, 1024)
			for ctx.Err() == nil {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					continue // out of ports for a moment
				}
				c.Write(req)
				c.Read(b)
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		})
	}
	wg.Wait()
	return nil
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func counter(f *fixture, of func(*conn.Stats) uint64) (n uint64) {
	for _, s := range f.server.ConnStats() {
		n += of(s)
	}
	return n
}

// BenchmarkHandshake includes TCP, the JWT, and the connection's end.
func BenchmarkHandshake(b *testing.B) {
	for _, mode := range []poll.Mode{poll.Epoll, poll.Goroutine} {
		b.Run(string(mode), func(b *testing.B) {
			f := start(b, mode, nil)
			clients(b, "handshake", f.addr, 16)
			done := func() uint64 { return f.server.Stats().Upgraded.Load() }
			eventually.True(b, "100 are done", func() bool { return done() > 100 })
			b.ResetTimer()
			from, used := done(), cpu()
			for done() < from+uint64(b.N) {
				time.Sleep(time.Millisecond) // a benchmark, not a test
			}
			b.ReportMetric(float64(done()-from)/(cpu()-used).Seconds(), "handshakes/CPU-s")
		})
	}
}

// BenchmarkRoundTrip: 64 clients, one message each under way.
func BenchmarkRoundTrip(b *testing.B) {
	for _, mode := range []poll.Mode{poll.Epoll, poll.Goroutine} {
		b.Run(string(mode), func(b *testing.B) {
			var conns []*conn.Conn
			f := startOn(b, poll.Options{Loops: 1, Mode: mode}, collect(&conns))
			clients(b, "echo", f.addr, 64)
			eventually.True(b, "all are open", func() bool { return counter(f, func(s *conn.Stats) uint64 { return s.Opened.Load() }) == 64 })
			done := func() uint64 { return counter(f, func(s *conn.Stats) uint64 { return s.Messages.Load() }) }
			b.ResetTimer()
			from, used := done(), cpu()
			for done() < from+uint64(b.N) {
				time.Sleep(time.Millisecond)
			}
			b.ReportMetric(float64(done()-from)/(cpu()-used).Seconds(), "roundtrips/CPU-s")
		})
	}
}

// BenchmarkFanout: one room of 1000 on one loop, with 1 and 8 messages waiting
// for each write.
func BenchmarkFanout(b *testing.B) {
	const members = 1000
	for _, mode := range []poll.Mode{poll.Epoll, poll.Goroutine} {
		for _, frames := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d in a write", mode, frames), func(b *testing.B) {
				var conns []*conn.Conn
				f := startOn(b, poll.Options{Loops: 1, Mode: mode}, collect(&conns))
				clients(b, "read", f.addr, members)
				eventually.True(b, "all members are open", func() bool { return counter(f, func(s *conn.Stats) uint64 { return s.Opened.Load() }) == members })
				frame := ws.AppendFrame(nil, ws.OpText, []byte(strings.Repeat("m", 128)))
				batch := []byte(strings.Repeat(string(frame), frames))
				round := make(chan bool)
				deliver := func() {
					ahead := 0
					for _, c := range conns {
						c.Send(batch, conn.Message)
						ahead = max(ahead, c.Queued())
					}
					round <- ahead < 64<<10
				}
				l := f.group.Loops()[0]
				b.ReportAllocs()
				b.ResetTimer()
				used := cpu()
				for range b.N {
					for l.Post(deliver); !<-round; { // the clients are behind
						time.Sleep(time.Millisecond)
					}
				}
				b.ReportMetric(float64(b.N*members*frames)/(cpu()-used).Seconds(), "deliveries/CPU-s")
			})
		}
	}
}

// collect makes one loop with the product's limits, and gathers its connections.
func collect(conns *[]*conn.Conn) func(*listen.Options) {
	return func(o *listen.Options) {
		for i, r := range o.Routes {
			if r.Path != "/conformance/echo" {
				continue
			}
			o.Routes[i].Conn = conn.Options{}
			o.Routes[i].Gate = func(*listen.Handshake) (conn.Handler, error) { return &member{all: conns}, nil }
		}
	}
}

// member echoes, says hello (so that an echoing client begins), and enters the
// list of its loop.
type member struct {
	conn.EchoHandler
	all *[]*conn.Conn
}

func (m *member) Opened(c *conn.Conn) {
	*m.all = append(*m.all, c)
}
