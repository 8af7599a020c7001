package rooms

import (
	"math/rand/v2"
	"time"

	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

const (
	// The log is searched for rooms with messages to remove that are not in memory: after a 28th
	// of the age that is kept, within these bounds. The first search is somewhat earlier, so that
	// it also happens where processes do not live long.
	searchShare    = 28
	minSearch      = 5 * time.Minute
	maxSearch      = 6 * time.Hour
	maxFirstSearch = time.Hour

	// The rooms found are checked one by one until the next search is due, with a pause between
	// two of them: the last record of each is read from the disk.
	minPause = time.Second
	maxPause = 4 * time.Second

	// retainTick is how often rooms in memory are checked for messages to remove, as far as their
	// retention is due.
	retainTick = 20 * time.Second
)

// searchEvery returns how often the log is searched.
func (s *Set) searchEvery() time.Duration {
	if s.cfg.Keep.MaxAge > 0 {
		return min(max(s.cfg.Keep.MaxAge/searchShare, minSearch), maxSearch)
	}
	return maxSearch
}

// retentionSweep is the search for rooms with messages to remove.
type retentionSweep struct {
	at       time.Time // of the next search, or of the next room
	searchAt time.Time // of the next search, while rooms is not empty
	pause    time.Duration
	rooms    []log.Room
	asking   bool
	tickAt   time.Time // of the rooms in memory
}

// retain removes messages from the rooms in memory where that is due.
func (s *Set) retain(now time.Time) {
	if now.Before(s.retention.tickAt) {
		return
	}
	s.retention.tickAt = now.Add(retainTick)
	for _, r := range s.rooms {
		r.Retain(now, s.cfg.Keep)
	}
}

// sweepRetention continues the search, one room at a time.
func (s *Set) sweepRetention(now time.Time) {
	p := &s.retention
	switch {
	case s.cfg.Keep == sequencer.Retention{} || p.asking:
	case p.at.IsZero():
		p.at = now.Add(rand.N(min(s.searchEvery(), maxFirstSearch)))
	case now.Before(p.at):
	case len(p.rooms) == 0:
		every := s.searchEvery()
		p.at, p.searchAt, p.asking = now.Add(every), now.Add(every), true
		s.cfg.Log.LargeRooms(s.cfg.Shard, s.cfg.Streams, sequencer.MinRetainRecords, func(rooms []log.Room, err error) {
			p.asking = false
			if err != nil {
				s.cfg.Counters.CountRetry(err)
			} else if len(rooms) > 0 {
				p.rooms, p.at = rooms, s.cfg.Now()
				p.pause = min(max(every/time.Duration(len(rooms)), minPause), maxPause)
			}
		})
	default:
		next := p.rooms[0]
		p.rooms = p.rooms[1:]
		if p.at = now.Add(p.pause); len(p.rooms) == 0 && p.searchAt.After(now) {
			p.at = p.searchAt
		}
		sequencer.RetainUnopened(&s.env, next, s.cfg.Keep, s.Has)
	}
}
