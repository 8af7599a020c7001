package conn

import (
	"cmp"
	"log/slog"
	"math"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

// Options of the connections of one route. Zero means the default that is named beside
// the field.
type Options struct {
	Limits     ws.Limits     // ws.DefaultLimits
	QueueBytes int           // 256 KiB may wait for a client
	Budget     *Budget       // of all clients; nil: unlimited
	Heartbeat  time.Duration // 30 s; negative: no heartbeats
	Stall      time.Duration // 10 s in which a peer reads none of the bytes that wait: it is slow
	Unfinished time.Duration // 15 s from a message's first byte to its last
	Closing    time.Duration // 2 s for the peer's side of the close handshake
	PingRate   int           // 10 pings a second from the peer; negative: unlimited
	Logger     *slog.Logger  // discards
}

// ConformanceOptions are for a conformance suite: large messages, no limit of pings, and
// a queue that takes the echo of one message.
func ConformanceOptions() Options {
	l := ws.ConformanceLimits()
	return Options{Limits: l, QueueBytes: 2 * l.Message, PingRate: -1}
}

func (o Options) withDefaults() Options {
	o.Limits = cmp.Or(o.Limits, ws.DefaultLimits())
	o.QueueBytes = cmp.Or(o.QueueBytes, 256<<10)
	o.Heartbeat = cmp.Or(o.Heartbeat, 30*time.Second)
	o.Stall = cmp.Or(o.Stall, 10*time.Second)
	o.Unfinished = cmp.Or(o.Unfinished, 15*time.Second)
	o.Closing = cmp.Or(o.Closing, 2*time.Second)
	o.PingRate = cmp.Or(o.PingRate, 10)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return o
}

// Budget bounds the queued bytes of all clients of a process together, because many may
// have a full queue at once. When it is used up, a client that is behind is closed as a
// slow consumer at the next Send, whatever its own queue holds. Its methods may be called
// concurrently. A nil Budget is unlimited.
type Budget struct {
	limit int64 // static
	used  atomic.Int64
}

// NewBudget returns a budget in bytes. 0 stands for a quarter of GOMEMLIMIT, and for
// unlimited if that is not set.
func NewBudget(bytes int64) *Budget {
	if bytes == 0 {
		memory := debug.SetMemoryLimit(-1) // reads it
		if memory == math.MaxInt64 {
			return nil
		}
		bytes = memory / 4
	}
	return &Budget{limit: bytes}
}

// Utilization returns the used share of the budget, 0 if it is unlimited.
func (b *Budget) Utilization() float64 {
	if b == nil {
		return 0
	}
	return float64(b.used.Load()) / float64(b.limit)
}

func (b *Budget) add(n int64) {
	if b != nil {
		b.used.Add(n)
	}
}

func (b *Budget) over() bool { return b != nil && b.used.Load() > b.limit }
