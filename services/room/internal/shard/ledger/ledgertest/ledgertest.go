// Package ledgertest stands in for the ledger in tests of the rooms and users of a shard.
package ledgertest

import (
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/ledger"
)

// Journal stores nothing and announces everything at once. The zero value is ready.
type Journal struct{ number uint64 }

// Store does nothing.
func (*Journal) Store(ledger.Holding) {}

// Then calls f.
func (*Journal) Then(f func()) { f() }

// Sent returns the number of the last broadcast.
func (j *Journal) Sent() uint64 { return j.number }

// Announce calls publish with the next number.
func (j *Journal) Announce(_ wire.News, broadcasts int, publish func(number uint64)) *ledger.Entry {
	publish(j.number + 1)
	j.number += uint64(broadcasts)
	return &ledger.Entry{}
}
