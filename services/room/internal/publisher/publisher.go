// Package publisher publishes what the room service says on NATS: replies to commands,
// broadcasts to edges.
package publisher

import (
	"log/slog"

	"github.com/confab-chat/confab/proto/wire"
)

// Publisher is what Bus needs of a *nats.Conn: Publish copies data before it returns.
type Conn interface {
	Publish(subject string, data []byte) error
}

// Tracer continues traces, of commands that carry one. It belongs to the Bus's goroutine.
type Tracer interface {
	// Of is the trace of the command that will be answered on reply, "" without one.
	TraceOf(reply string) string
	// Published is told every subject that was published on.
	Published(subject string)
	// Publish is Publisher's, of data that continues traces.
	Publish(subject string, data []byte, traces []string) error
}

// maxScratch is what the encoding buffer may grow to and be kept.
const maxScratch = 256 << 10

// Bus encodes into one buffer and publishes. It belongs to one goroutine. What
// cannot be published (NATS is away) is lost, as core NATS may lose it anyway:
// edges repeat commands and repair broadcasts.
type Publisher struct {
	conn    Conn
	logger  *slog.Logger
	scratch []byte

	// Tracer may be nil: nothing is traced.
	Tracer Tracer
}

// New returns a Bus over pub.
func New(pub Conn, logger *slog.Logger) *Publisher { return &Publisher{conn: pub, logger: logger} }

// Traces appends the trace of the command that will be answered on reply, if it has one.
func (p *Publisher) AppendTrace(list []string, reply string) []string {
	if p.Tracer == nil {
		return list
	}
	if t := p.Tracer.TraceOf(reply); t != "" {
		list = append(list, t)
	}
	return list
}

// Publish says m on a subject; an empty subject is nobody. It continues traces.
func (p *Publisher) Publish(subject string, m wire.Message, traces ...string) {
	if subject == "" {
		return
	}
	data := wire.Append(p.scratch[:0], m)
	if p.scratch = data; cap(data) > maxScratch {
		p.scratch = nil
	}
	if err := p.publish(subject, data, traces); err != nil {
		p.logger.Debug("publish failed", "err", err)
	}
	if p.Tracer != nil {
		p.Tracer.Published(subject)
	}
}

func (p *Publisher) publish(subject string, data []byte, traces []string) error {
	if len(traces) > 0 {
		return p.Tracer.Publish(subject, data, traces)
	}
	return p.conn.Publish(subject, data)
}
