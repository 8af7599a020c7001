package sequencer

import (
	"errors"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// A record of the log that cannot be decoded was not written by a room service, or its disk has
// changed it. It is skipped: reads continue behind it, and seqs continue after the last record
// that can be decoded. The messages that it may have held are missing for readers, who see a gap.

// noteMalformed counts and logs a record that cannot be decoded.
func (e *Env) noteMalformed(room log.Room, pos uint64) {
	e.Counters.Malformed.Add(1)
	e.Logger.Error("message log has a record that cannot be decoded", "event", "log.malformed",
		"stream", room.Stream, "subject", room.Subject, "pos", pos)
}

// headBatch and headBytes bound one read of findHead.
const (
	headBatch = 512
	headBytes = 1 << 20
)

// findHead loads a room whose last record, at end, cannot be decoded. There is no reading
// backwards, so it reads the whole room.
func (r *Room) findHead(end uint64) {
	r.busy = true
	started := r.env.reads.startTask(r.env, r.logRoom, func(t *task) {
		last, pos, err := lastDecodable(t, end)
		r.busy = false
		if err != nil {
			r.retryLater(err)
			return
		}
		if last != nil {
			r.startFrom(last, pos)
		}
		r.head.pos = end
		r.finishLoad()
	})
	if !started {
		r.busy = false
		r.retryLater(errOverloaded())
	}
}

// lastDecodable returns the last record up to position end that can be decoded; nil if there is
// none. history.ErrShort: the replica that answered does not have the one at end.
func lastDecodable(t *task, end uint64) (last *wire.Record, pos uint64, err error) {
	for from, next := uint64(1), uint64(1); ; from = next {
		for s, err := range t.Range(from, headBatch, headBytes) {
			if errors.Is(err, log.ErrEnd) || errors.Is(err, log.ErrNotFound) {
				break
			}
			if err != nil {
				return nil, 0, err
			}
			next = s.Pos + 1
			if rec := new(wire.Record); history.Decode(s.Data, rec) {
				last, pos = rec, s.Pos
			}
		}
		switch {
		case next > end:
			return last, pos, nil
		case next == from:
			return nil, 0, history.ErrShort
		}
	}
}
