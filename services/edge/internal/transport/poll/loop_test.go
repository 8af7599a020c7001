package poll_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/shared/eventually"
)

func TestPost(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		g, _ := serve(t, o, acceptEcho)
		l := g.Loops()[0]
		const producers, each = 8, 5000
		next := make([]int, producers) // owned by the loop
		var wrong int
		var wg sync.WaitGroup
		for p := range producers {
			wg.Go(func() {
				for i := range each {
					if !l.Post(func() {
						if next[p] != i {
							wrong++
						}
						next[p]++
					}) {
						t.Error("Post refused")
					}
				}
			})
		}
		wg.Wait()
		on(t, l, func() {
			for p, n := range next {
				if n != each {
					t.Errorf("%d functions of producer %d ran", n, p)
				}
			}
			if wrong > 0 {
				t.Errorf("%d ran out of order", wrong)
			}
		})
	})
}

// TestPostWakes: every function wakes a sleeping loop, also when the loop is
// just falling asleep.
func TestPostWakes(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		o.Tick = time.Hour // no tick wakes it by accident
		g, _ := serve(t, o, acceptEcho)
		for range 3000 {
			on(t, g.Loops()[0], func() {})
		}
	})
}

func TestTryPost(t *testing.T) {
	t.Parallel()
	l := poll.NewManual(time.Now(), time.Second)
	ran := 0
	for i := range poll.PostBacklog {
		if !l.TryPost(func() { ran++ }) {
			t.Fatalf("refused after %d", i)
		}
	}
	if l.TryPost(func() { ran++ }) {
		t.Error("accepted beyond the backlog")
	}
	if !l.Post(func() { ran++ }) {
		t.Error("Post refused")
	}
	if l.Backlog() != poll.PostBacklog+1 {
		t.Errorf("backlog %d", l.Backlog())
	}
	l.Turn(time.Now())
	if ran != poll.PostBacklog+1 || l.Backlog() != 0 {
		t.Errorf("%d ran, %d left", ran, l.Backlog())
	}
	if !l.TryPost(func() {}) {
		t.Error("refused by an empty loop")
	}
}

func TestPanicInPosted(t *testing.T) {
	t.Parallel()
	l := poll.NewManual(time.Now(), time.Second)
	ran := 0
	l.Post(func() { ran++ })
	l.Post(func() { panic("bug") })
	l.Post(func() { ran++ })
	l.Turn(time.Now())
	if ran != 2 {
		t.Errorf("%d of 2 others ran", ran)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		g, err := poll.New(o)
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		p := newPeer(func(*peer, []byte) {})
		accepted := make(chan struct{})
		addr := ln.Addr().String()
		if _, err := g.Listen(ln, func(tr poll.Transport, from netip.AddrPort) {
			p.accept(tr, from)
			close(accepted)
		}); err != nil {
			t.Fatal(err)
		}
		c := dial(t, addr)
		receive(t, accepted)
		stop()
		if err := receive(t, done); err != nil {
			t.Error(err)
		}
		if err := p.waitClosed(t); !errors.Is(err, poll.ErrStopped) {
			t.Errorf("closed by %v, want ErrStopped", err)
		}
		if got := readAll(t, c); got != "" {
			t.Errorf("read %q", got)
		}
		if g.Loops()[0].Post(func() {}) {
			t.Error("Post accepted by an ended loop")
		}
		if _, err := net.Dial("tcp", addr); err == nil {
			t.Error("still listening")
		}
	})
}

func TestListenerClose(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		g, err := poll.New(o)
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		t.Cleanup(func() { stop(); <-done })
		addr := ln.Addr().String()
		closer, err := g.Listen(ln, acceptEcho)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, addr)
		c.Write([]byte("a"))
		b := make([]byte, 1)
		c.Read(b)
		closer.Close()
		closer.Close()
		eventually.True(t, "new connections are refused", func() bool {
			late, err := net.Dial("tcp", addr)
			if err == nil {
				late.Close()
			}
			return err != nil
		})
		c.Write([]byte("b"))
		c.CloseWrite()
		if got := readAll(t, c); got != "b" {
			t.Errorf("the open connection read %q", got)
		}
	})
}

func TestUnknownMode(t *testing.T) {
	t.Parallel()
	if _, err := poll.New(poll.Options{Mode: "kqueue"}); err == nil {
		t.Error("accepted")
	}
}

// recorder is a timer that writes down when it went off.
type recorder struct {
	timer poll.Timer
	loop  *poll.Loop
	fired []uint32
	then  func()
}

func (a *recorder) Expire() {
	a.fired = append(a.fired, a.loop.Tick())
	if a.then != nil {
		a.then()
	}
}

func newRecorder(l *poll.Loop) *recorder {
	a := &recorder{loop: l}
	a.timer.Owner = a
	return a
}

// TestTimers against the obvious model: a map from timer to tick.
func TestTimers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1e9, 0)
		l := poll.NewManual(now, time.Second)
		timers := make([]*recorder, 8)
		for i := range timers {
			timers[i] = newRecorder(l)
		}
		due := make(map[int]uint32)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(timers)-1).Draw(t, "timer")
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				at := l.Tick() + uint32(rapid.IntRange(0, 200).Draw(t, "in"))
				l.Arm(&timers[i].timer, at)
				due[i] = max(at, l.Tick()+1)
			case 1:
				l.Disarm(&timers[i].timer)
				delete(due, i)
			case 2:
				now = now.Add(time.Duration(rapid.IntRange(0, 150).Draw(t, "seconds")) * time.Second)
				l.Turn(now)
				for i, a := range timers {
					at, armed := due[i]
					rings := armed && at <= l.Tick()
					if rings != (len(a.fired) == 1) {
						t.Fatalf("tick %d: timer %d fired %v, was due at %d (%v)", l.Tick(), i, a.fired, at, armed)
					}
					if rings {
						delete(due, i)
					}
					a.fired = nil
					if _, armed := due[i]; armed != a.timer.Armed() {
						t.Fatalf("timer %d: Armed is %v", i, a.timer.Armed())
					}
				}
			}
		}
	})
}

// TestTimersInTurns: many timers of one tick are served in portions, all of them.
func TestTimersInTurns(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := poll.NewManual(now, time.Second)
	fired := 0
	for range 1000 {
		a := newRecorder(l)
		a.then = func() { fired++ }
		l.Arm(&a.timer, l.Tick()+1)
	}
	now = now.Add(time.Second)
	l.Turn(now)
	if fired == 0 || fired == 1000 {
		t.Errorf("%d fired in one turn", fired)
	}
	for range 10 {
		l.Turn(now)
	}
	if fired != 1000 {
		t.Errorf("%d fired in all", fired)
	}
}

// TestTimersInside: timers may be moved and stopped by one that goes off.
func TestTimersInside(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := poll.NewManual(now, time.Second)
	a, b, c := newRecorder(l), newRecorder(l), newRecorder(l)
	a.then = func() {
		l.Disarm(&b.timer)
		l.Arm(&c.timer, l.Tick()+1)
		if len(a.fired) < 3 {
			l.Arm(&a.timer, l.Tick()) // "now" means the next tick: no endless turn
		}
	}
	for _, x := range []*recorder{a, b, c} {
		l.Arm(&x.timer, l.Tick()+1)
	}
	for range 6 {
		now = now.Add(time.Second)
		l.Turn(now)
	}
	if got := fmt.Sprint(a.fired, b.fired, c.fired); got != "[2 3 4] [] [3 4 5]" {
		t.Errorf("a, b, c fired at %s", got)
	}
}

// TestTimersRun: a running loop serves its timers without being woken.
func TestTimersRun(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		g, _ := serve(t, o, acceptEcho)
		l := g.Loops()[1]
		fired := make(chan uint32, 1)
		a := newRecorder(l)
		a.then = func() { fired <- l.Tick() }
		var armed uint32
		on(t, l, func() {
			armed = l.Tick()
			l.Arm(&a.timer, armed+3)
		})
		if at := receive(t, fired); at < armed+3 {
			t.Errorf("fired at %d, armed for %d", at, armed+3)
		}
	})
}

type flush struct{ fn func() }

func (f *flush) Flush() { f.fn() }

func TestDefer(t *testing.T) {
	t.Parallel()
	l := poll.NewManual(time.Now(), time.Second)
	var order []string
	say := func(s string) func() { return func() { order = append(order, s) } }
	l.Post(func() {
		l.Defer(&flush{func() {
			say("first")()
			l.Defer(&flush{say("nested")})
		}})
		l.Defer(&flush{func() { panic("bug") }})
		l.Defer(&flush{say("last")})
	})
	l.Post(say("posted"))
	l.Turn(time.Now())
	if got := order; len(got) != 4 || got[0] != "posted" || got[1] != "first" || got[2] != "last" || got[3] != "nested" {
		t.Errorf("order %v", got)
	}
}

func BenchmarkPost(b *testing.B) {
	for _, m := range []poll.Mode{poll.Auto, poll.Goroutine} {
		b.Run(string(m), func(b *testing.B) {
			g, _ := serve(b, poll.Options{Loops: 1, Mode: m}, acceptEcho)
			l := g.Loops()[0]
			done := make(chan struct{}, 1)
			n := 0
			fn := func() {
				if n++; n == b.N {
					done <- struct{}{}
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				l.Post(fn)
			}
			<-done
		})
	}
}

func BenchmarkTimer(b *testing.B) {
	l := poll.NewManual(time.Now(), time.Second)
	a := newRecorder(l)
	b.ReportAllocs()
	for b.Loop() {
		l.Arm(&a.timer, l.Tick()+30)
	}
}
