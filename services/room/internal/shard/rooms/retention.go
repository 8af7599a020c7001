package rooms

import (
	"math/rand/v2"
	"time"

	"github.com/confab-chat/confab/services/room/internal/sequencer"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

const (
	// retentionEvery is how often the log is searched for rooms with messages to remove that are
	// not in memory. The first search is somewhat earlier, so that it also happens where processes
	// do not live long.
	retentionEvery = 6 * time.Hour
	retentionFirst = time.Hour

	// retentionPause is the time between two rooms: the last record of each is read from the disk.
	retentionPause = 4 * time.Second
)

// retentionSweep is the search for rooms with messages to remove.
type retentionSweep struct {
	at     time.Time // of the next search, or of the next room
	rooms  []log.Room
	asking bool
}

// sweepRetention continues the search, one room at a time.
func (s *Set) sweepRetention(now time.Time) {
	p := &s.retention
	switch {
	case s.cfg.Keep == sequencer.Retention{} || p.asking:
	case p.at.IsZero():
		p.at = now.Add(rand.N(retentionFirst))
	case now.Before(p.at):
	case len(p.rooms) == 0:
		p.at, p.asking = now.Add(retentionEvery), true
		s.cfg.Log.LargeRooms(s.cfg.Shard, s.cfg.Streams, sequencer.MinRetainRecords, func(rooms []log.Room, err error) {
			p.asking = false
			if err != nil {
				s.cfg.Counters.CountRetry(err)
			} else if len(rooms) > 0 {
				p.rooms, p.at = rooms, s.cfg.Now()
			}
		})
	default:
		next := p.rooms[0]
		p.rooms = p.rooms[1:]
		if p.at = now.Add(retentionPause); len(p.rooms) == 0 {
			p.at = now.Add(retentionEvery)
		}
		sequencer.RetainUnopened(&s.env, next, s.cfg.Keep, s.Has)
	}
}
