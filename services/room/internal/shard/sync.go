package shard

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

const (
	// syncWait is how long a new owner waits for the edges' snapshots before it
	// answers who is here: 50 times what they take on a LAN.
	syncWait = 300 * time.Millisecond

	// maxHeld bounds the commands that wait meanwhile.
	maxDeferred = 2 * maxCommands

	// resyncEvery is the least time between two requests for snapshots.
	resyncEvery = 2 * time.Second
)

// syncing is how a new owner learns who is here: it asks all edges.
type snapshotSync struct {
	inbox       string // subject of the answers, without its last token
	active      bool   // the first answers are still to come
	until       time.Time
	awaited     map[membership.Edge]struct{} // edges that have not answered yet
	deferred    []*nats.Msg                  // commands that wait for the end
	requestedAt time.Time                    // of the last request but the first
}

// Last tokens of the inbox: snapshots for a new owner are taken silently, later
// ones are news.
const (
	silentToken   = "q"
	announceToken = "a"
)

// beginSync asks every edge what it holds in this shard.
func (s *shard) requestSnapshots(announce bool) {
	token := silentToken
	if announce {
		token = announceToken
	} else {
		s.sync.active, s.sync.until = true, s.now.Add(syncWait)
		s.sync.awaited = make(map[membership.Edge]struct{})
		for _, e := range s.cfg.Edges.Live(s.now) {
			s.sync.awaited[e] = struct{}{}
		}
	}
	msg := wire.Marshal(&wire.Sync{Shard: uint64(s.lease.Shard)})
	if err := s.cfg.Conn.PublishRequest(subject.EdgesSync, s.sync.inbox+"."+token, msg); err != nil {
		s.cfg.Logger.Debug("sync request failed", "err", err)
	}
}

// resync asks again, because an edge that was given up lives.
func (s *shard) resync() {
	if s.now.Sub(s.sync.requestedAt) < resyncEvery {
		return
	}
	s.sync.requestedAt = s.now
	s.cfg.Logger.Info("edge is back, asking for what it holds", "event", "sync.again", "shard", strconv.Itoa(s.lease.Shard))
	s.requestSnapshots(true)
}

// snapshot takes an edge's answer.
func (s *shard) applySnapshot(m *nats.Msg) {
	if len(m.Data) == 0 && m.Header.Get("Status") == strconv.Itoa(http.StatusServiceUnavailable) {
		s.finishSync() // there is no edge
		return
	}
	var snap wire.Snapshot
	if err := wire.Unmarshal(m.Data, &snap); err != nil || snap.Shard != uint64(s.lease.Shard) {
		s.cfg.Logger.Warn("malformed snapshot", "event", "sync.malformed", "err", err)
		return
	}
	e := membership.Edge{ID: snap.Edge, Gen: snap.Gen}
	announce := strings.HasSuffix(m.Subject, "."+announceToken)
	s.rooms.Restore(e, snap.Rooms, announce)
	s.users.Restore(e, snap.Users, announce)
	if !snap.Last {
		return
	}
	delete(s.sync.awaited, e)
	if s.sync.active && len(s.sync.awaited) == 0 && s.hasSeen(e) {
		s.finishSync()
	}
}

// known tells whether the heartbeats of edges have been heard at all: an instance
// that has just begun to listen does not know how many will answer.
func (s *shard) hasSeen(e membership.Edge) bool {
	for _, live := range s.cfg.Edges.Live(s.now) {
		if live == e {
			return true
		}
	}
	return false
}

// endSync carries out what has waited for the snapshots.
func (s *shard) finishSync() {
	if !s.sync.active {
		return
	}
	s.sync.active, s.sync.awaited = false, nil
	held := s.sync.deferred
	s.sync.deferred = nil
	for _, m := range held {
		s.handleCommand(m)
	}
}

func (s *shard) deferCommand(m *nats.Msg) {
	if len(s.sync.deferred) >= maxDeferred {
		s.refuse(m.Reply, errBusy())
		return
	}
	s.sync.deferred = append(s.sync.deferred, m)
}
