//go:build linux

// Package scenario runs loads against a chat server: fan-out in rooms, fan-out beside
// members that do not read, idle connections, and clients that resume. Each opens its
// connections, measures, and returns figures.
package scenario

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/confab-chat/confab/tools/bench/internal/clients"
	"github.com/confab-chat/confab/tools/bench/internal/dialect"
	"github.com/confab-chat/confab/tools/bench/internal/report"
	"github.com/confab-chat/confab/tools/bench/internal/stamp"
	"github.com/confab-chat/confab/tools/bench/internal/usage"
)

// firstID is the id of the first message of a room; the join had id 1.
const firstID = 2

// maxRefusal bounds what a note quotes of a refused request, in bytes.
const maxRefusal = 200

// Options are a scenario's target and size. Each scenario documents which it uses.
type Options struct {
	Label       string
	Mode        string
	DialectName string
	Dialect     dialect.Dialect
	Targets     []netip.AddrPort        // connections take turns; resume returns to the last
	TLS         *tls.Config             // nil: plain TCP
	Token       func(number int) string // nil: connections have no token
	FirstSource int                     // see clients.Options
	Groups      []usage.Group           // the server's processes
	Progress    io.Writer               // a line a second; nil: none

	Connections int     // idle, resume
	AtOnce      int     // connections that are being opened or joined at a time
	Rooms       int     // fanout, slow
	Members     int     // fanout, slow: of each room; idle: of each room, 0: joins none
	Publishers  int     // fanout, slow: members of each room that publish, in turn
	Window      int     // fanout, slow: messages in flight in each room, when Rate is 0
	Rate        float64 // fanout, slow: messages a second over all rooms; 0: closed loop
	Burst       int     // fanout, slow: messages that are due together, when Rate is not 0
	Size        int     // bytes of a message
	Stalled     int     // slow: further members that never read
	Missed      int     // resume: messages that each client misses
	Runs        int     // how often to measure; not idle

	Warm     time.Duration // fanout, slow: before measuring
	Duration time.Duration // fanout, slow: of measuring
	Settle   time.Duration // idle: before memory is read
	Patience time.Duration // bounds opening, joining, and the wait for messages on their way
}

// Func is one scenario. It ends early, with an error, when ctx is done.
type Func func(ctx context.Context, o Options) ([]report.Result, error)

// All returns the scenarios by mode.
func All() map[string]Func {
	return map[string]Func{"fanout": Fanout, "idle": Idle, "resume": Resume, "slow": Slow}
}

// load is the connections of a scenario and what was counted on them. It belongs to one
// goroutine.
type load struct {
	Options
	ctx  context.Context
	loop *clients.Loop

	nextTarget   int
	nextProgress time.Time
	joinOnOpen   bool // every connection joins a room as soon as it is open
	joined       int
	refused      int    // requests
	firstRefusal string // of the first of them

	// Callbacks of the scenario; nil: none. onMessage also gets the replies to joins.
	onOpen    func(c *clients.Conn)
	onMessage func(c *clients.Conn, m dialect.Message, at int64)
	onClose   func(c *clients.Conn)

	request, content []byte // scratch
}

func newLoad(ctx context.Context, o Options) (*load, error) {
	l := &load{Options: o, ctx: ctx}
	var err error
	l.loop, err = clients.New(clients.Options{
		Dialect: o.Dialect, Token: o.Token, TLS: o.TLS, FirstSource: o.FirstSource,
		Opened: func(c *clients.Conn) {
			if l.onOpen != nil {
				l.onOpen(c)
			}
		},
		Message: l.countReply,
		Closed: func(c *clients.Conn, _ error) {
			if l.onClose != nil {
				l.onClose(c)
			}
		},
	})
	return l, err
}

// countReply counts joins and refusals, and hands m to the scenario.
func (l *load) countReply(c *clients.Conn, m dialect.Message, at int64) {
	switch m.Kind {
	case dialect.Other:
		return
	case dialect.Joined:
		if !c.Joined {
			c.Joined = true
			l.joined++
		}
	case dialect.Refused:
		l.refused++
		if l.firstRefusal == "" {
			l.firstRefusal = string(m.Body[:min(len(m.Body), maxRefusal)])
		}
	}
	if l.onMessage != nil {
		l.onMessage(c, m, at)
	}
}

// dial opens a connection to the next target.
func (l *load) dial() *clients.Conn {
	l.nextTarget++
	return l.loop.Dial(l.Targets[(l.nextTarget-1)%len(l.Targets)])
}

// openAll opens n connections, AtOnce at a time, and waits until all are open. prepare gets
// each connection before anything has happened to it; it may be nil.
func (l *load) openAll(n int, prepare func(i int, c *clients.Conn)) error {
	lost, end := l.loop.Stats.Lost, time.Now().Add(l.Patience)
	for i := 0; i < n || l.loop.Stats.Pending > 0; {
		for ; i < n && l.unfinished() < l.AtOnce; i++ {
			if c := l.dial(); prepare != nil {
				prepare(i, c)
			}
		}
		l.loop.Poll(10 * time.Millisecond)
		l.showProgress("opening", "%d open, %d lost", l.loop.Stats.Open, l.loop.Stats.Lost)
		if err := l.checkWait(end, "opening"); err != nil {
			return err
		}
	}
	if d := l.loop.Stats.Lost - lost; d > 0 {
		return fmt.Errorf("%d of %d connections could not be opened: %w", d, n, l.loop.Stats.FirstError)
	}
	return nil
}

// unfinished returns how many connections are being opened, or joined to their first room.
func (l *load) unfinished() int {
	n := l.loop.Stats.Pending
	if l.joinOnOpen {
		n += l.loop.Stats.Open - l.joined
	}
	return n
}

// checkWait returns an error when a wait must end: at its end, or because ctx is done.
func (l *load) checkWait(end time.Time, phase string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if time.Now().After(end) {
		return fmt.Errorf("%s: not finished in %v (%d open, %d joined, %d requests refused %s)",
			phase, l.Patience, l.loop.Stats.Open, l.joined, l.refused, l.firstRefusal)
	}
	return nil
}

// join asks for a room. since is the seq after which messages were missed; -1: none.
func (l *load) join(c *clients.Conn, room string, since int64) {
	l.request = l.Dialect.AppendJoin(l.request[:0], 1, room, since)
	c.Send(l.request)
}

// awaitJoins waits until n connections have joined.
func (l *load) awaitJoins(n int) error {
	for end := time.Now().Add(l.Patience); l.joined < n; {
		l.loop.Poll(10 * time.Millisecond)
		l.showProgress("joining", "%d of %d joined", l.joined, n)
		if l.refused > 0 {
			return fmt.Errorf("a join was refused: %s", l.firstRefusal)
		}
		if err := l.checkWait(end, "joining"); err != nil {
			return err
		}
	}
	return nil
}

// publish sends message n of a room, which was due at the given time.
func (l *load) publish(c *clients.Conn, id uint64, room string, due int64, n uint32) {
	l.content = stamp.Append(l.content[:0], due, n, l.Size)
	l.request = l.Dialect.AppendPublish(l.request[:0], id, room, l.content)
	c.Send(l.request)
}

// newResult returns a result without figures.
func (l *load) newResult() report.Result {
	r := report.Result{Label: l.Label, Mode: l.Mode, Dialect: l.DialectName}
	if l.TLS != nil {
		r.Setup.Add("tls", 1, "")
	}
	return r
}

// note returns the first failures, which no figure describes.
func (l *load) note() string {
	err := l.loop.Stats.FirstError
	if l.firstRefusal != "" {
		err = errors.Join(err, errors.New("refused: "+l.firstRefusal))
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// roomName returns the name of room i, which generators with another FirstSource do not use.
func (l *load) roomName(i int) string {
	return fmt.Sprintf("load-%s-%d-%d", l.DialectName, l.FirstSource, i)
}

// progressDue reports whether showProgress would write.
func (l *load) progressDue() bool { return l.Progress != nil && !time.Now().Before(l.nextProgress) }

// showProgress writes a line, if a second has passed since the last.
func (l *load) showProgress(phase, format string, args ...any) {
	if !l.progressDue() {
		return
	}
	now := time.Now()
	l.nextProgress = now.Add(time.Second)
	fmt.Fprintf(l.Progress, "%s %-9s "+format+"\n", append([]any{now.Format("15:04:05"), phase}, args...)...)
}
