// Package scenario is what chatload does to a server: idle connections, fan-out,
// echo, churn, resume, a sweep of fan-outs over growing load, and a fan-out beside
// members that do not read. A scenario opens its
// crowd, measures, and says what it found as figures.
package scenario

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"time"

	"github.com/confab-chat/confab/tools/chatload/internal/crowd"
	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/proc"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
	"github.com/confab-chat/confab/tools/chatload/internal/stamp"
)

// Options say what is to be done, to whom. Each scenario says which it uses.
type Options struct {
	Label       string
	Mode        string
	DialectName string
	Dialect     dialect.Dialect
	Targets     []netip.AddrPort // connections go round; resume comes back to the second
	TLS         *tls.Config      // nil: the targets do not speak it
	Token       func(number int) string
	FirstSource int          // see crowd.Options
	Groups      []proc.Group // the processes of the server
	Proc        fs.FS        // /proc
	Progress    io.Writer
	own         []int // further processes of the generator

	Connections int     // idle, echo, resume
	AtOnce      int     // handshakes in progress at a time
	Rooms       int     // fanout, churn
	Members     int     // fanout: in each room; idle: in each room, 0: none is joined
	Publishers  int     // fanout: of each room
	Window      int     // fanout, closed loop: messages in flight in each room
	Rate        float64 // a second: messages (fanout), requests (echo), arrivals (churn); 0: closed loop
	Rates       []float64
	Burst       int // fanout, open loop: messages due together
	Size        int // bytes of a message
	Stalled     int // slow: further members that never read
	Missed      int // resume: messages
	Runs        int

	Warm, Duration time.Duration // not measured, and measured
	Settle         time.Duration // idle: before memory is read
	Pause          time.Duration // scale: between two messages
	Life           time.Duration // churn: of one connection
	Patience       time.Duration // for opening, and for what is still on its way
}

// Func is one scenario.
type Func func(ctx context.Context, o Options) ([]report.Result, error)

// All are the scenarios by mode.
func All() map[string]Func {
	return map[string]Func{"idle": Idle, "fanout": Fanout, "echo": Echo, "churn": Churn, "resume": Resume, "sweep": Sweep, "slow": Slow}
}

// stage is one run's crowd and its bookkeeping. It belongs to one goroutine.
type stage struct {
	Options
	ctx   context.Context
	crowd *crowd.Crowd
	line  progress

	nextTarget int
	joins      bool // every connection joins a room as soon as it is open
	joined     int
	refused    int // requests, by the server's limits or otherwise
	firstNo    string

	// message is called for what is not a join.
	message func(c *crowd.Conn, m dialect.Message, at int64)
	opened  func(c *crowd.Conn)
	closed  func(c *crowd.Conn)

	buf, content []byte // scratch
}

func newStage(ctx context.Context, o Options) (*stage, error) {
	s := &stage{Options: o, ctx: ctx, line: progress{w: o.Progress}}
	var err error
	s.crowd, err = crowd.New(crowd.Options{
		Dialect: o.Dialect, Token: o.Token, TLS: o.TLS, FirstSource: o.FirstSource,
		Opened: func(c *crowd.Conn) {
			if s.opened != nil {
				s.opened(c)
			}
		},
		Message: s.got,
		Closed: func(c *crowd.Conn, _ error) {
			if s.closed != nil {
				s.closed(c)
			}
		},
	})
	return s, err
}

func (s *stage) got(c *crowd.Conn, m dialect.Message, at int64) {
	switch m.Kind {
	case dialect.Other:
		return
	case dialect.Joined:
		if !c.Joined {
			c.Joined = true
			s.joined++
		}
	case dialect.Refused, dialect.Limited:
		s.refused++
		if s.firstNo == "" {
			s.firstNo = string(m.Body[:min(len(m.Body), 200)])
		}
	}
	if s.message != nil {
		s.message(c, m, at)
	}
}

// dial opens a connection to the next target.
func (s *stage) dial() (*crowd.Conn, error) {
	s.nextTarget++
	return s.crowd.Dial(s.Targets[(s.nextTarget-1)%len(s.Targets)])
}

// open opens n connections, at most AtOnce at a time with their joins. prepare sees each before
// anything has happened to it.
func (s *stage) open(n int, prepare func(i int, c *crowd.Conn)) error {
	lost, end := s.crowd.Stats.Lost, time.Now().Add(s.Patience)
	for i := 0; i < n || s.crowd.Stats.Pending > 0; {
		for ; i < n && s.underWay() < s.AtOnce; i++ {
			c, err := s.dial()
			if err != nil {
				return fmt.Errorf("connection %d of %d: %w", i+1, n, err)
			}
			prepare(i, c)
		}
		s.crowd.Poll(10 * time.Millisecond)
		s.line.show("opening", "%d open, %d lost", s.crowd.Stats.Open, s.crowd.Stats.Lost)
		if err := s.check(end, "opening"); err != nil {
			return err
		}
	}
	if d := s.crowd.Stats.Lost - lost; d > 0 {
		return fmt.Errorf("%d of %d connections could not be opened: %w", d, n, s.crowd.Stats.FirstError)
	}
	return nil
}

// underWay is how many connections are being opened, or joined to their first room.
func (s *stage) underWay() int {
	n := s.crowd.Stats.Pending
	if s.joins {
		n += s.crowd.Stats.Open - s.joined
	}
	return n
}

// check ends a wait: when it takes too long, or somebody wants to stop.
func (s *stage) check(end time.Time, what string) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if time.Now().After(end) {
		return fmt.Errorf("%s: not finished in %v (%d open, %d joined, %d requests refused %s)", what, s.Patience, s.crowd.Stats.Open, s.joined, s.refused, s.firstNo)
	}
	return nil
}

// join asks for a room.
func (s *stage) join(c *crowd.Conn, room string, since int64) {
	s.buf = s.Dialect.AppendJoin(s.buf[:0], 1, room, since)
	c.Text(s.buf)
}

// allJoined waits for n joins in all.
func (s *stage) allJoined(n int) error {
	for end := time.Now().Add(s.Patience); s.joined < n; {
		s.crowd.Poll(10 * time.Millisecond)
		s.line.show("joining", "%d of %d joined", s.joined, n)
		if s.refused > 0 {
			return fmt.Errorf("a join was refused: %s", s.firstNo)
		}
		if err := s.check(end, "joining"); err != nil {
			return err
		}
	}
	return nil
}

// publish sends message n of a room.
func (s *stage) publish(c *crowd.Conn, id uint64, room string, due int64, n uint32) {
	s.content = stamp.Append(s.content[:0], due, n, s.Size)
	s.buf = s.Dialect.AppendPublish(s.buf[:0], id, room, s.content)
	c.Text(s.buf)
}

// result begins a result.
func (s *stage) result() report.Result {
	r := report.Result{Label: s.Label, Mode: s.Mode, Dialect: s.DialectName}
	if s.TLS != nil {
		r.Setup.Add("tls", 1, "")
	}
	return r
}

// lossNote says what went wrong beside the figures.
func (s *stage) lossNote() string {
	var err error
	if s.crowd.Stats.FirstError != nil {
		err = s.crowd.Stats.FirstError
	}
	if s.firstNo != "" {
		err = errors.Join(err, errors.New("refused: "+s.firstNo))
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// roomName names rooms after the run, so that one run does not hear another.
func (s *stage) roomName(i int) string { return fmt.Sprintf("load-%s-%d", s.DialectName, i) }
