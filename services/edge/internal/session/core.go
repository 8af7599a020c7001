// Package session is one client's conversation with the edge, in either protocol: which
// rooms it has joined, which requests are in progress, and what it is sent. A session
// lives on the loop of its connection; what takes time is asked of relay and quota,
// whose answers are posted to that loop.
package session

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/strictjson"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/quota"
	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// Relay is the part of relay.Relay that sessions need.
type Relay interface {
	Origin() wire.Origin
	Join(j relay.JoinRequest, done func(relay.Seat, error))
	Leave(l relay.Leaving)
	UserOpened(u *wire.User, atMost int, refused func())
	UserClosed(id string, grace time.Duration)
	Typing(shard int, m *wire.Typing)
	Members(rooms []string, limit int, done func(ids []string))
	RoomCommand(shard int, op subject.RoomOp, m wire.Message, header nats.Header, deadline time.Time, done func(reply []byte, err error))
	UserCommand(shard int, op subject.UserOp, m wire.Message, header nats.Header, deadline time.Time, done func(reply []byte, err error))
}

// Quota is the part of quota.Quota that sessions need.
type Quota interface {
	Take(user string, a wire.Action, done func(quota.Decision))
	Return(user string, a wire.Action)
}

// Options of a Core. What has no default beside it is required.
type Options struct {
	Loops    []*poll.Loop
	Hub      *hub.Hub
	Relay    Relay
	Quota    Quota
	Verifier auth.Verifier // for refreshToken
	Codecs   []codec.Codec // of the protocols, as the hub has them
	// Heartbeat is the longest time between two calls of Session.Heartbeat.
	Heartbeat time.Duration

	QueueBytes  int    // what may wait for a connection, see conn.Options; default 256 KiB
	Ping        bool   // send the ping event each heartbeat interval
	DefaultRoom string // joined by every session; default none
	PerUser     int    // connections of a user on this edge; default any number
	RoomScope   bool   // presence concerns shared rooms only
	Logger      *slog.Logger
	Tracer      trace.Tracer // default none

	// AcceptSeconds measures sendMessage, from its receipt to its reply; default none.
	AcceptSeconds metric.Float64Histogram
}

// Core is what all sessions share. Its methods may be called concurrently.
type Core struct {
	Options
	definitions map[string]*definition // by event
	locals      []*local
}

// New returns the core of the sessions on the hub's loops.
func New(o Options) *Core {
	o.QueueBytes = cmp.Or(o.QueueBytes, 256<<10)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	c := &Core{Options: o, definitions: definitions()}
	for i, l := range o.Loops {
		c.locals = append(c.locals, &local{core: c, loop: l, hub: o.Hub.Local(i)})
	}
	return c
}

// halfQueue is how many bytes a slow connection may have queued before more of a page
// are sent. A reply that fills the queue would make the client a slow consumer.
func (c *Core) halfQueue() int { return c.QueueBytes / 2 }

// Accepts returns how long sendMessage took from its receipt to its reply, since the start.
func (c *Core) Accepts() wire.Histogram {
	var all wire.Histogram
	for _, l := range c.locals {
		l.mu.Lock()
		all.Merge(l.accepts)
		l.mu.Unlock()
	}
	return all
}

// Refused is the number of requests that were refused with each code, since the start.
func (c *Core) Refused() map[code.Code]uint64 {
	all := make(map[code.Code]uint64)
	for _, l := range c.locals {
		l.mu.Lock()
		for k, n := range l.refused {
			all[k] += n
		}
		l.mu.Unlock()
	}
	return all
}

// local is what the sessions of one loop share, owned by the loop.
type local struct {
	core *Core // static
	loop *poll.Loop
	hub  *hub.Local

	reader   strictjson.Reader
	scratch  []byte               // the object that is being encoded
	pings    [codec.Codecs][]byte // frames of the ping event of pingAt
	pingAt   event.Time
	refusals refusals

	mu      sync.Mutex // guards the following
	accepts wire.Histogram
	refused map[code.Code]uint64
}

// keptScratch is the largest buffer that is kept for the next object.
const keptScratch = 64 << 10

// buffer returns an empty buffer to encode an object in; keepBuffer keeps what it has
// grown to.
func (l *local) buffer() []byte { return l.scratch[:0] }

func (l *local) keepBuffer(b []byte) {
	if cap(b) <= keptScratch {
		l.scratch = b
	}
}

// ping is the frame of a ping event at this moment, encoded once for all connections of
// a codec that are due.
func (l *local) ping(slot uint8) []byte {
	if now := event.At(l.loop.Now()); now != l.pingAt {
		l.pings, l.pingAt = [codec.Codecs][]byte{}, now
	}
	frame := &l.pings[slot]
	if *frame == nil {
		p := event.Ping{Timestamp: l.pingAt}
		*frame = l.core.Codecs[slot].AppendEvent(nil, event.NamePing, p.AppendJSON(l.buffer()))
	}
	return *frame
}

// recordAccept records how long a sendMessage took.
func (l *local) recordAccept(ctx context.Context, took time.Duration) {
	l.mu.Lock()
	l.accepts.Add(took)
	l.mu.Unlock()
	if h := l.core.AcceptSeconds; h != nil {
		h.Record(ctx, took.Seconds())
	}
}

// countRefusal counts a refused request.
func (l *local) countRefusal(k code.Code) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		l.refused = make(map[code.Code]uint64)
	}
	l.refused[k]++
}
