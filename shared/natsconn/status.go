package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Status tracks the state of the connections of one service instance. The zero value is
// ready; it must not be copied. All methods may be called concurrently.
type Status struct {
	mu sync.Mutex // guards all fields

	links      map[*nats.Conn]link // open connections
	ever       bool                // all of them have been up at the same time
	reconnects uint64
	opens      uint64 // connections opened so far

	// Drops: the library reports only the first drop of an episode, and keeps the count in
	// the subscription. Subscriptions are removed once they are closed.
	slow    map[*nats.Subscription]uint64 // last count read
	dropped uint64                        // of closed subscriptions

	slowLog limiter
}

type link struct {
	up    bool
	since time.Time

	number  uint64 // in the order of opening
	log     *slog.Logger
	movedAt time.Time     // see Move
	pause   time.Duration // from then until the next move
}

// State is the state of all connections at one moment.
type State struct {
	Open      int  // connections not closed
	Connected int  // of these, how many are up
	Ever      bool // all have been up at the same time

	// Since is when the present state began: when the last connection came up, or when
	// the first of those now down was lost (or opened without success). Zero if none is
	// open.
	Since time.Time
}

// Up reports whether there are connections and all of them are connected.
func (s State) Up() bool { return s.Open > 0 && s.Connected == s.Open }

// LostFor returns how long some connection has been down; 0 if all are up or none is open.
func (s State) LostFor(now time.Time) time.Duration {
	if s.Up() || s.Open == 0 {
		return 0
	}
	return max(now.Sub(s.Since), 0)
}

// State returns the present state.
func (s *Status) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stateLocked()
}

func (s *Status) stateLocked() State {
	st := State{Open: len(s.links), Ever: s.ever}
	var lastUp, firstDown time.Time
	for _, l := range s.links {
		switch {
		case l.up:
			st.Connected++
			if l.since.After(lastUp) {
				lastUp = l.since
			}
		case firstDown.IsZero() || l.since.Before(firstDown):
			firstDown = l.since
		}
	}
	if st.Since = firstDown; st.Up() {
		st.Since = lastUp
	}
	return st
}

// Reconnects returns the number of reconnects.
func (s *Status) Reconnects() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reconnects
}

// Dropped returns the number of messages dropped because their subscription was full. It
// is a lower bound: drops between the last check of a subscription and its end are missed.
func (s *Status) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := s.dropped
	for sub, last := range s.slow {
		n, err := sub.Dropped()
		if err != nil { // unsubscribed or closed
			delete(s.slow, sub)
			s.dropped += last
			total += last
			continue
		}
		s.slow[sub] = uint64(n)
		total += uint64(n)
	}
	return total
}

// Register creates the instruments chat.nats.connected, chat.nats.reconnects and
// chat.nats.dropped in meter. It must be called at most once.
func (s *Status) Register(meter metric.Meter) error {
	connected, err1 := meter.Int64ObservableGauge("chat.nats.connected",
		metric.WithUnit("{connection}"), metric.WithDescription("NATS connections that are up."))
	reconnects, err2 := meter.Int64ObservableCounter("chat.nats.reconnects",
		metric.WithUnit("{reconnect}"), metric.WithDescription("Reconnects to NATS after a lost connection."))
	dropped, err3 := meter.Int64ObservableCounter("chat.nats.dropped",
		metric.WithUnit("{message}"), metric.WithDescription("Messages from NATS dropped before they were handled."))
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("make nats metrics: %w", err)
	}
	slow := metric.WithAttributeSet(attribute.NewSet(attribute.String("error.type", "slow_consumer")))
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(connected, int64(s.State().Connected))
		o.ObserveInt64(reconnects, int64(s.Reconnects()))
		o.ObserveInt64(dropped, int64(s.Dropped()), slow)
		return nil
	}, connected, reconnects, dropped)
	if err != nil {
		return fmt.Errorf("register nats metrics: %w", err)
	}
	return nil
}

// opened adds a connection made by Connect. Its handlers may have been called already.
func (s *Status) opened(nc *nats.Conn, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.links[nc]; !known && !nc.IsClosed() {
		s.setLocked(nc, nc.IsConnected(), now)
	}
}

func (s *Status) set(nc *nats.Conn, up bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(nc, up, now)
}

func (s *Status) setLocked(nc *nats.Conn, up bool, now time.Time) {
	l, known := s.links[nc]
	if known && l.up == up {
		return // keep the time of the change
	}
	if s.links == nil {
		s.links = make(map[*nats.Conn]link)
	}
	l.up, l.since = up, now
	s.links[nc] = l
	s.ever = s.ever || s.stateLocked().Up()
}

func (s *Status) reconnected(nc *nats.Conn, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reconnects++
	s.setLocked(nc, true, now)
}

func (s *Status) closed(nc *nats.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, nc)
}

// slowed remembers a subscription that dropped messages. It returns whether to log this
// report, and how many have been suppressed since the last one that was logged.
func (s *Status) slowed(sub *nats.Subscription, now time.Time) (suppressed int, log bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slow == nil {
		s.slow = make(map[*nats.Subscription]uint64)
	}
	if _, known := s.slow[sub]; !known {
		s.slow[sub] = 0
		maps.DeleteFunc(s.slow, func(old *nats.Subscription, last uint64) bool {
			gone := !old.IsValid()
			if gone {
				s.dropped += last
			}
			return gone
		})
	}
	return s.slowLog.allow(now)
}

// limiter allows one event per second and counts the others.
type limiter struct {
	next       time.Time
	suppressed int
}

func (l *limiter) allow(now time.Time) (suppressed int, ok bool) {
	if now.Before(l.next) {
		l.suppressed++
		return 0, false
	}
	suppressed, l.suppressed = l.suppressed, 0
	l.next = now.Add(time.Second)
	return suppressed, true
}
