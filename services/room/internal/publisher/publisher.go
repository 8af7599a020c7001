// Package publisher publishes the messages of the room service on NATS: replies to
// commands and broadcasts to edges.
package publisher

import (
	"log/slog"

	"github.com/confab-chat/confab/proto/wire"
)

// Conn is the part of *nats.Conn that a Publisher uses: Publish must copy data before it
// returns.
type Conn interface {
	Publish(subject string, data []byte) error
}

// Tracer continues the traces of commands. It is called on the Publisher's goroutine.
type Tracer interface {
	// TraceOf returns the trace of the command whose reply goes to subject reply; "" without one.
	TraceOf(reply string) string
	// Published is called with every subject after a message was published on it.
	Published(subject string)
	// Publish is like Conn.Publish, for data that continues traces.
	Publish(subject string, data []byte, traces []string) error
}

// maxScratch is the largest encoding buffer that is kept.
const maxScratch = 256 << 10

// Publisher encodes messages into one buffer and publishes them. It must not be used
// concurrently. A message that cannot be published because NATS is away is lost, as core
// NATS may lose it anyway: edges repeat commands and repair broadcasts.
type Publisher struct {
	conn    Conn
	logger  *slog.Logger
	scratch []byte

	// Tracer may be nil: then nothing is traced. It must be set before the first Publish.
	Tracer Tracer
}

// New returns a Publisher over conn.
func New(conn Conn, logger *slog.Logger) *Publisher { return &Publisher{conn: conn, logger: logger} }

// AppendTrace appends the trace of the command whose reply goes to subject reply, if any.
func (p *Publisher) AppendTrace(list []string, reply string) []string {
	if p.Tracer == nil {
		return list
	}
	if t := p.Tracer.TraceOf(reply); t != "" {
		list = append(list, t)
	}
	return list
}

// Publish encodes m and publishes it. An empty subject is ignored: no reply was requested.
// The message continues traces.
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
