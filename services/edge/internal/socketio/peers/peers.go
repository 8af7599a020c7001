// Package peers lets the edges ask each other over NATS. A Socket.IO session stays on
// the edge that opened it, and the client's next request may reach any edge.
package peers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/shared/natsconn"
)

const (
	// Hold is how long the owner of a session holds a poll that another edge
	// forwarded. The other edge then asks again, so it notices when the owner dies.
	Hold = 5 * time.Second

	pollTimeout    = Hold + 2*time.Second
	recoverTimeout = time.Second

	// tokenLength makes tokens unique among any number of edges. They are no secrets.
	tokenLength = 8

	// randomLength is the length of an id's random part: 128 bits in base64.
	randomLength = 22
)

// Asker sends a request; relay.Relay implements it.
type Asker interface {
	Do(subj string, header nats.Header, data []byte, timeout time.Duration, done natsconn.Done)
}

// ErrGone is returned when the other edge has stopped or does not answer.
var ErrGone = errors.New("the other edge does not answer")

// Handlers answer what other edges ask. Each runs on a goroutine of NATS and must not
// block; it calls reply at most once, from any goroutine.
type Handlers struct {
	Poll    func(m wire.Poll, reply func(*wire.Polled))
	Recover func(m wire.Recover, reply func(*wire.Recovered))
}

// Peers is this edge among the others. Its methods may be called concurrently. A nil
// Peers is an edge without others: only Token and NewID may be called.
type Peers struct {
	// Static.
	token string
	nc    *nats.Conn
	asker Asker
	log   *slog.Logger
}

// New returns the edge with a new token. Other edges can ask it after Serve.
func New(nc *nats.Conn, asker Asker, log *slog.Logger) *Peers {
	return &Peers{token: strings.ToLower(rand.Text()[:tokenLength]), nc: nc, asker: asker, log: log}
}

// Token is this edge's name in ids and subjects. It is new at each start.
func (p *Peers) Token() string {
	if p == nil {
		return ""
	}
	return p.token
}

// NewID returns an id for a session of this edge: 128 random bits, which alone guard
// the session, and this edge's token.
func (p *Peers) NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:]) + p.Token()
}

// Owner returns the token of the edge that made the id. It returns the empty string
// when the id has no valid token: nothing else may become part of a subject.
func Owner(id string) string {
	if len(id) != randomLength+tokenLength || !ValidToken(id[randomLength:]) {
		return ""
	}
	return id[randomLength:]
}

// ValidToken reports whether t has the form of an edge's token.
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

// Serve subscribes to what other edges ask. The subscriptions end with the connection.
func (p *Peers) Serve(h Handlers) error {
	err := p.subscribe(subject.OpPoll, func(msg *nats.Msg) {
		var m wire.Poll
		if wire.Unmarshal(msg.Data, &m) == nil {
			h.Poll(m, func(r *wire.Polled) { p.reply(msg, r) })
		}
	})
	if err != nil {
		return err
	}
	return p.subscribe(subject.OpRecover, func(msg *nats.Msg) {
		var m wire.Recover
		if wire.Unmarshal(msg.Data, &m) == nil {
			h.Recover(m, func(r *wire.Recovered) { p.reply(msg, r) })
		}
	})
}

func (p *Peers) subscribe(op subject.PeerOp, handle nats.MsgHandler) error {
	if _, err := p.nc.Subscribe(subject.EdgePeer(p.token, op), handle); err != nil {
		return fmt.Errorf("subscribe to requests of other edges: %w", err)
	}
	return nil
}

func (p *Peers) reply(msg *nats.Msg, m wire.Message) {
	if msg.Reply == "" {
		return
	}
	if err := msg.Respond(wire.Marshal(m)); err != nil {
		p.log.Debug("another edge not answered", "event", "peers.reply", "err", err)
	}
}

// Poll forwards a request of long-polling to its owner and waits for the answer. It
// returns ErrGone, or the error of ctx.
func (p *Peers) Poll(ctx context.Context, owner string, m *wire.Poll) (*wire.Polled, error) {
	r := &wire.Polled{}
	return r, p.ask(ctx, subject.EdgePeer(owner, subject.OpPoll), m, pollTimeout, r)
}

// AbandonPoll notifies the owner that the client has abandoned the GET with m's ID.
func (p *Peers) AbandonPoll(owner string, m *wire.Poll) {
	if err := p.nc.Publish(subject.EdgePeer(owner, subject.OpPoll), wire.Marshal(m)); err != nil {
		p.log.Debug("another edge not notified", "event", "peers.gone", "err", err)
	}
}

// Recover asks the owner to release a session and waits for the answer, at most a
// second. It returns ErrGone.
func (p *Peers) Recover(owner string, m *wire.Recover) (*wire.Recovered, error) {
	r := &wire.Recovered{}
	return r, p.ask(context.Background(), subject.EdgePeer(owner, subject.OpRecover), m, recoverTimeout, r)
}

// ask sends m and decodes the answer into r.
func (p *Peers) ask(ctx context.Context, subj string, m wire.Message, timeout time.Duration, r wire.Message) error {
	type answer struct {
		msg *nats.Msg
		err error
	}
	answered := make(chan answer, 1)
	p.asker.Do(subj, nil, wire.Marshal(m), timeout, func(msg *nats.Msg, err error) { answered <- answer{msg, err} })
	select {
	case a := <-answered:
		if a.err != nil {
			return errors.Join(ErrGone, a.err)
		}
		return wire.Unmarshal(a.msg.Data, r)
	case <-ctx.Done():
		return ctx.Err()
	}
}
