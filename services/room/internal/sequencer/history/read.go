package history

import (
	"errors"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// maxBatch and maxBytes bound one batch read, and so the bytes on their way at once.
const (
	maxBatch = 512
	maxBytes = 1 << 20
)

// ErrShort is returned when the log ends before the message that was asked for: the
// replica that answered lags. The caller may retry.
var ErrShort = errors.New("the log answered with less than it has")

// Scan calls each for every record from position from on, in order, up to the record
// with message to. each may keep the records. Messages removed by retention are missing, and
// those of records that cannot be decoded.
func Scan(l Log, from Position, to uint64, each func(r *wire.Record, pos uint64)) error {
	for next := from; ; from = next {
		// Each record holds at least one message, so there are no more of them than messages.
		batch := min(to-min(from.Seq, to)+1, maxBatch)
		for s, err := range l.Range(from.Pos, int(batch), maxBytes) {
			switch {
			case errors.Is(err, log.ErrEnd) && next != from:
				continue // the next batch
			case errors.Is(err, log.ErrEnd), errors.Is(err, log.ErrNotFound):
				return ErrShort
			case err != nil:
				return err
			}
			r := new(wire.Record)
			if !Decode(s.Data, r) {
				l.Malformed(s.Pos)
				next.Pos = s.Pos + 1
				continue
			}
			next = Position{s.Pos + 1, r.Last() + 1}
			each(r, s.Pos)
			if r.Last() >= to {
				return nil
			}
		}
	}
}

// Decode decodes a record of the log, and reports whether it is one.
func Decode(data []byte, rec *wire.Record) bool {
	return wire.Unmarshal(data, rec) == nil && rec.First > 0 && len(rec.Entries) > 0
}

// Read returns the messages of span. m are the marks at message head.
func Read(l Log, head uint64, m Marks, span Span) ([]wire.Item, error) {
	from, err := Find(l, head, m, span.From)
	if err != nil {
		return nil, err
	}
	var items []wire.Item
	err = Scan(l, from, span.To, func(r *wire.Record, _ uint64) {
		items = appendWithin(items, r, span)
	})
	return items, err
}

// appendWithin appends the messages of r that are in span.
func appendWithin(items []wire.Item, r *wire.Record, span Span) []wire.Item {
	for i := range r.Entries {
		if seq := r.First + uint64(i); seq >= span.From && seq <= span.To {
			items = append(items, wire.Item{Seq: seq, JSON: r.Entries[i].JSON})
		}
	}
	return items
}
