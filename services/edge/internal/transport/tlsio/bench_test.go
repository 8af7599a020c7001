package tlsio_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// clientsEnv makes this test's binary a crowd of TLS clients, so that they do not
// weigh in the server's process: their number and the address.
const clientsEnv = "CONFAB_TEST_TLS_CLIENTS"

// clients opens n connections, sends a byte on each, and reads what comes until
// standard input ends.
func clients(n int, addr string) error {
	var all sync.WaitGroup
	failed := make(chan error, n)
	atOnce := make(chan struct{}, 64)
	for range n {
		all.Go(func() {
			atOnce <- struct{}{}
			c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
			<-atOnce
			if err == nil {
				_, err = c.Write([]byte("x"))
			}
			if err != nil {
				failed <- err
				return
			}
			go io.Copy(io.Discard, c)
			failed <- nil
		})
	}
	all.Wait()
	for range n {
		if err := <-failed; err != nil {
			return err
		}
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// childMain runs the clients if this process is to be them.
func childMain() {
	spec := os.Getenv(clientsEnv)
	if spec == "" {
		return
	}
	var n int
	var addr string
	if _, err := fmt.Sscan(spec, &n, &addr); err != nil {
		panic(err)
	}
	if err := clients(n, addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// crowd is connections that have said something, by who accepted them.
type crowd struct {
	mu  sync.Mutex // guards all
	all []poll.Transport
}

func (c *crowd) accept(t poll.Transport, _ netip.AddrPort) {
	t.SetHandler(newOnce(func(poll.Transport, []byte) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all = append(c.all, t)
	}))
}

func (c *crowd) wait(b *testing.B, n int) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		there := len(c.all)
		c.mu.Unlock()
		if there == n {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d connections", there, n)
		}
	}
}

// join brings n clients in from another process, until the benchmark ends.
func (c *crowd) join(b *testing.B, s *server, n int) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), clientsEnv+"="+strconv.Itoa(n)+" "+s.addr)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	c.wait(b, n)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// BenchmarkIdle reports what an idle connection with TLS holds in user space.
func BenchmarkIdle(b *testing.B) {
	const n = 2000
	var c crowd
	s := serve(b, c.accept)
	before := heap()
	c.join(b, s, n)
	held := heap() - before
	for b.Loop() { // there is nothing to repeat
	}
	b.ReportMetric(float64(held)/n, "B/conn")
	runtime.KeepAlive(&c)
}

// BenchmarkWrite is one op a delivery of 400 bytes to one of 500 connections, encryption
// and the system's call included, and 8 deliveries in one write.
func BenchmarkWrite(b *testing.B) {
	for _, together := range []int{1, 8} {
		b.Run(strconv.Itoa(together), func(b *testing.B) {
			const n = 500
			var c crowd
			s := serve(b, c.accept)
			c.join(b, s, n)
			frames := make([]byte, 400*together)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += n * together {
				var round sync.WaitGroup
				for _, l := range s.group.Loops() {
					round.Add(1)
					l.Post(func() {
						defer round.Done()
						for _, t := range c.all {
							if t.Loop() == l {
								t.Write(frames) // one that is full misses a round
							}
						}
					})
				}
				round.Wait()
			}
		})
	}
}
