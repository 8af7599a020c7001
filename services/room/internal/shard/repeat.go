package shard

import (
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// lossAge is more than the time after which the library notices that a connection is dead.
const lossAge = 30 * time.Second

// repeat broadcasts the numbered events again that an edge has missed. Reply: wire.Repeated,
// before the events.
func (s *shard) repeat(cmd *wire.Repeat, reply string) {
	s.publisher.Publish(reply, &wire.Repeated{Number: s.ledger.Sent()})
	news, complete := s.ledger.Since(cmd.After)
	s.repeatAll(news)
	if !complete {
		s.rooms.ShowMembers()
	}
}

// repeatAfterOutage broadcasts the last news again if the connection to NATS was lost: some may
// not have left this process, or the server. It must be called before other news are broadcast.
func (s *shard) repeatAfterOutage() {
	if n := s.cfg.Conn.Stats().Reconnects; n != s.reconnects {
		s.reconnects = n
		s.repeatAll(s.ledger.Recent(s.now.Add(-lossAge)))
	}
}

// repeatAll broadcasts news again. Edges ignore what they have seen.
func (s *shard) repeatAll(news []*wire.News) {
	var ofRooms []*wire.News
	for _, n := range news {
		if n.Room == "" {
			s.users.Repeat(n)
		} else {
			ofRooms = append(ofRooms, n)
		}
	}
	s.rooms.RepeatAll(ofRooms)
}

// repeatNews broadcasts news again that the previous owner may not have broadcast at all.
func (s *shard) repeatNews(n *wire.News) {
	if n.Room == "" {
		s.users.Repeat(n)
	} else {
		s.rooms.Repeat(n)
	}
}
