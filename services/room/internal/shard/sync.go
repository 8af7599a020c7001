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
	// syncWait is how long a new owner waits for the edges' snapshots before it answers who is
	// in a room or online: 50 times what they take on a LAN.
	syncWait = 300 * time.Millisecond

	// maxDeferred bounds the commands that wait meanwhile.
	maxDeferred = 2 * maxCommands

	// resyncEvery is the least time between two requests for snapshots.
	resyncEvery = 2 * time.Second
)

// snapshotSync is how a new owner learns which users are connected: it asks all edges for
// snapshots.
type snapshotSync struct {
	inbox       string // subject of the snapshots, without its last token
	active      bool   // waiting for the first snapshots
	until       time.Time
	awaited     map[membership.Edge]struct{} // edges that have not answered yet
	deferred    []*nats.Msg                  // commands that wait for finishSync
	requestedAt time.Time                    // the last request, except the first
}

// Last tokens of the inbox: the first snapshots are applied silently, later ones with
// announcements.
const (
	silentToken   = "q"
	announceToken = "a"
)

// requestSnapshots asks every edge for its connections of this shard's members and users. With
// announce, users that are new here are announced.
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
		s.cfg.Logger.Debug("snapshot request failed", "err", err)
	}
}

// resync requests snapshots again, because an edge that was given up is alive.
func (s *shard) resync() {
	if s.now.Sub(s.sync.requestedAt) < resyncEvery {
		return
	}
	s.sync.requestedAt = s.now
	s.cfg.Logger.Info("edge is alive after all, requesting snapshots", "event", "sync.again", "shard", strconv.Itoa(s.lease.Shard))
	s.requestSnapshots(true)
}

// applySnapshot applies an edge's snapshot.
func (s *shard) applySnapshot(m *nats.Msg) {
	if len(m.Data) == 0 && m.Header.Get("Status") == strconv.Itoa(http.StatusServiceUnavailable) {
		s.finishSync() // no edge is running
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

// hasSeen reports whether heartbeats have arrived at all, that of e at least: an instance that
// has just started does not know how many edges will answer.
func (s *shard) hasSeen(e membership.Edge) bool {
	for _, live := range s.cfg.Edges.Live(s.now) {
		if live == e {
			return true
		}
	}
	return false
}

// finishSync runs the commands that waited for the snapshots.
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

// deferCommand keeps a command until finishSync.
func (s *shard) deferCommand(m *nats.Msg) {
	if len(s.sync.deferred) >= maxDeferred {
		s.refuse(m.Reply, errBusy())
		return
	}
	s.sync.deferred = append(s.sync.deferred, m)
}
