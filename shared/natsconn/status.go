package natsconn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Status knows how the connections of one service instance are. The zero value
// is ready; it must not be copied. All methods are safe for concurrent use.
type Status struct {
	mu sync.Mutex // guards all fields

	links      map[*nats.Conn]link // open connections
	ever       bool                // all of them were up at the same time once
	reconnects uint64

	// Drops: the library reports only the first of an episode, and keeps the
	// count in the subscription. Subscriptions are forgotten once they are gone.
	slow    map[*nats.Subscription]uint64 // last count read
	dropped uint64                        // of subscriptions that are gone

	slowLog limiter
}

type link struct {
	up    bool
	since time.Time
}

// State is a moment's view of all connections together.
type State struct {
	Open      int  // connections not closed
	Connected int  // of these, how many are up
	Ever      bool // all were up at once at least once

	// Since is when the present condition began: the last connection came up,
	// or the first of those now down was lost (or was opened without success).
	// Zero when nothing is open.
	Since time.Time
}

// Up tells whether there are connections and all of them are connected.
func (s State) Up() bool { return s.Open > 0 && s.Connected == s.Open }

// LostFor is how long some connection has been down; 0 when all are up or none is open.
func (s State) LostFor(now time.Time) time.Duration {
	if s.Up() || s.Open == 0 {
		return 0
	}
	return max(now.Sub(s.Since), 0)
}

// State returns the present view.
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

// Reconnects counts connections that came back.
func (s *Status) Reconnects() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reconnects
}

// Dropped counts messages that arrived and were thrown away because their
// subscription was full. Drops of a subscription between the last look and its
// end are missed, so it is a lower bound.
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

// Register makes the instruments chat.nats.connected, chat.nats.reconnects and
// chat.nats.dropped in meter. To be called once.
func (s *Status) Register(meter metric.Meter) error {
	connected, err1 := meter.Int64ObservableGauge("chat.nats.connected",
		metric.WithUnit("{connection}"), metric.WithDescription("NATS connections that are up."))
	reconnects, err2 := meter.Int64ObservableCounter("chat.nats.reconnects",
		metric.WithUnit("{reconnect}"), metric.WithDescription("NATS connections that came back after a loss."))
	dropped, err3 := meter.Int64ObservableCounter("chat.nats.dropped",
		metric.WithUnit("{message}"), metric.WithDescription("Messages from NATS thrown away before they were handled."))
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

// opened adds a connection that Connect made. The handlers may have been called before.
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
	if l, known := s.links[nc]; known && l.up == up {
		return // keep the time of the change
	}
	if s.links == nil {
		s.links = make(map[*nats.Conn]link)
	}
	s.links[nc] = link{up: up, since: now}
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

// slowed remembers a subscription that dropped messages. It returns how many
// reports were not logged since the last one that was, and whether to log this.
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

// limiter lets one event a second through and counts the others.
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
