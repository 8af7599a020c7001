// Package peers is what edges ask each other over NATS: a session of Socket.IO stays
// on the edge that began it, and a client's next request may come to any.
package peers

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/natsconn"
)

const (
	// Hold is how long the edge that has a session lets another one wait for
	// something to say. It is then asked again, so that its death is noticed.
	Hold = 5 * time.Second

	pollTimeout    = Hold + 2*time.Second
	recoverTimeout = time.Second

	// tokenLength makes tokens unique among any number of edges; they guard nothing.
	tokenLength = 8
)

// Asker sends a request; relay.Relay is one.
type Asker interface {
	Do(subj string, header nats.Header, data []byte, timeout time.Duration, done natsconn.Done)
}

// ErrGone is given when the other edge is not there, or does not answer.
var ErrGone = errors.New("the other edge does not answer")

// Peers is this edge among the others. Its methods may be called concurrently.
type Peers struct {
	// Static after Serve.
	token string
	nc    *nats.Conn
	asker Asker
	log   *slog.Logger

	mu        sync.Mutex // guards the following
	onPoll    func(wire.Poll, func(*wire.Polled))
	onRecover func(wire.Recover, func(*wire.Recovered))
	subs      []*nats.Subscription
}

// New returns an edge that nobody can ask before Serve.
func New(nc *nats.Conn, asker Asker, log *slog.Logger) *Peers {
	return &Peers{token: strings.ToLower(rand.Text()[:tokenLength]), nc: nc, asker: asker, log: log}
}

// Token is how this edge is found; new at each start.
func (p *Peers) Token() string { return p.token }

// ValidToken tells whether t can be an edge's token: nothing else gets into a subject.
func ValidToken(t string) bool {
	if len(t) != tokenLength {
		return false
	}
	for i := range len(t) {
		if c := t[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// OnPoll says who answers requests of long-polling; reply is called at most once,
// from any goroutine.
func (p *Peers) OnPoll(fn func(m wire.Poll, reply func(*wire.Polled))) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onPoll = fn
}

// OnRecover says who gives sessions away.
func (p *Peers) OnRecover(fn func(m wire.Recover, reply func(*wire.Recovered))) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onRecover = fn
}

// Serve begins to answer.
func (p *Peers) Serve() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	poll, err := p.nc.Subscribe(subject.EdgePeer(p.token, subject.OpPoll), p.polled)
	if err != nil {
		return fmt.Errorf("subscribe what other edges ask: %w", err)
	}
	p.subs = append(p.subs, poll)
	rec, err := p.nc.Subscribe(subject.EdgePeer(p.token, subject.OpRecover), p.recovered)
	if err != nil {
		return fmt.Errorf("subscribe what other edges ask: %w", err)
	}
	p.subs = append(p.subs, rec)
	return nil
}

func (p *Peers) polled(msg *nats.Msg) {
	p.mu.Lock()
	fn := p.onPoll
	p.mu.Unlock()
	var m wire.Poll
	if fn == nil || wire.Unmarshal(msg.Data, &m) != nil {
		return
	}
	fn(m, func(r *wire.Polled) { p.reply(msg, r) })
}

func (p *Peers) recovered(msg *nats.Msg) {
	p.mu.Lock()
	fn := p.onRecover
	p.mu.Unlock()
	var m wire.Recover
	if fn == nil || wire.Unmarshal(msg.Data, &m) != nil {
		return
	}
	fn(m, func(r *wire.Recovered) { p.reply(msg, r) })
}

func (p *Peers) reply(msg *nats.Msg, m wire.Message) {
	if msg.Reply == "" {
		return
	}
	if err := msg.Respond(wire.Marshal(m)); err != nil {
		p.log.Debug("another edge not answered", "event", "peers.reply", "err", err)
	}
}

// Poll passes a request of long-polling on. done runs once, on some goroutine, and
// must not block.
func (p *Peers) Poll(token string, m *wire.Poll, done func(*wire.Polled, error)) {
	p.asker.Do(subject.EdgePeer(token, subject.OpPoll), nil, wire.Marshal(m), pollTimeout, func(msg *nats.Msg, err error) {
		var r wire.Polled
		done(&r, unpack(msg, err, &r))
	})
}

// PollGone says that the client has let go.
func (p *Peers) PollGone(token string, m *wire.Poll) {
	if err := p.nc.Publish(subject.EdgePeer(token, subject.OpPoll), wire.Marshal(m)); err != nil {
		p.log.Debug("another edge not told", "event", "peers.gone", "err", err)
	}
}

// Recover asks for a session. done runs once, on some goroutine, and must not block.
func (p *Peers) Recover(token string, m *wire.Recover, done func(*wire.Recovered, error)) {
	p.asker.Do(subject.EdgePeer(token, subject.OpRecover), nil, wire.Marshal(m), recoverTimeout, func(msg *nats.Msg, err error) {
		var r wire.Recovered
		done(&r, unpack(msg, err, &r))
	})
}

func unpack(msg *nats.Msg, err error, m wire.Message) error {
	if err != nil {
		return errors.Join(ErrGone, err)
	}
	return wire.Unmarshal(msg.Data, m)
}
