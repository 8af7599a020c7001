// Package bus publishes what the room service says on NATS: replies to commands,
// broadcasts to edges.
package bus

import (
	"log/slog"

	"github.com/confab-chat/confab/proto/wire"
)

// Publisher is what Bus needs of a *nats.Conn: Publish copies data before it returns.
type Publisher interface {
	Publish(subject string, data []byte) error
}

// maxScratch is what the encoding buffer may grow to and be kept.
const maxScratch = 256 << 10

// Bus encodes into one buffer and publishes. It belongs to one goroutine. What
// cannot be published (NATS is away) is lost, as core NATS may lose it anyway:
// edges repeat commands and repair broadcasts.
type Bus struct {
	pub     Publisher
	logger  *slog.Logger
	scratch []byte

	// Published, when set, is told every subject that was published on.
	Published func(subject string)
}

// New returns a Bus over pub.
func New(pub Publisher, logger *slog.Logger) *Bus { return &Bus{pub: pub, logger: logger} }

// Publish says m on a subject; an empty subject is nobody.
func (b *Bus) Publish(subject string, m wire.Message) {
	if subject == "" {
		return
	}
	data := wire.Append(b.scratch[:0], m)
	if b.scratch = data; cap(data) > maxScratch {
		b.scratch = nil
	}
	if err := b.pub.Publish(subject, data); err != nil {
		b.logger.Debug("publish failed", "err", err)
	}
	if b.Published != nil {
		b.Published(subject)
	}
}
