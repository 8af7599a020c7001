package shard

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/shard/agreement"
	"github.com/confab-chat/confab/services/room/internal/shard/ledger"
	"github.com/confab-chat/confab/services/room/internal/shard/liveness"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

const (
	// syncWait is how long a new owner waits for the edges' snapshots before it answers who is
	// in a room or online: 50 times what they take on a LAN.
	syncWait = 300 * time.Millisecond

	// maxDeferred bounds the commands that wait meanwhile.
	maxDeferred = 2 * maxCommands
)

// snapshotSync is how an owner learns which users are connected, and corrects what it
// believes: it requests snapshots from edges.
type snapshotSync struct {
	inbox    string // subject of the snapshots
	edges    *agreement.Edges
	active   bool // waiting for the first snapshots
	until    time.Time
	early    []func()    // snapshots that wait for the ledger
	deferred []*nats.Msg // commands that wait for finishSync
}

// startSync requests the first snapshots, from all edges.
func (s *shard) startSync() {
	s.sync.active, s.sync.until = true, s.now.Add(syncWait)
	s.sync.edges.Asked(s.now, s.cfg.Edges.Live(s.now))
	s.requestSnapshot("")
}

// requestMissing requests the snapshots of the live edges that have not sent one.
func (s *shard) requestMissing() {
	for _, e := range s.sync.edges.Update(s.now, s.cfg.Edges.Live(s.now)) {
		s.requestSnapshot(e.ID)
	}
}

// check compares what an edge holds with what this owner believes of it. Reply: wire.Done.
func (s *shard) check(cmd *wire.Check, reply string) {
	s.publisher.Publish(reply, &wire.Done{})
	e := membership.Edge{ID: cmd.Edge, Gen: cmd.Gen}
	same := s.rooms.Held(e) == cmd.Members && s.users.Held(e) == cmd.Users
	if s.sync.edges.Checked(s.now, e, same) {
		s.cfg.Logger.Info("an edge holds other users than this owner believes, requesting its snapshot",
			"event", "sync.differs", "shard", strconv.Itoa(s.lease.Shard), "edge", e.ID)
		s.requestSnapshot(e.ID)
	}
}

// requestSnapshot asks an edge for its connections of this shard's members and users; every
// edge if the id is empty.
func (s *shard) requestSnapshot(edge string) {
	msg := wire.Marshal(&wire.Sync{Shard: uint64(s.lease.Shard), Edge: edge})
	if err := s.cfg.Conn.PublishRequest(subject.EdgesSync, s.sync.inbox, msg); err != nil {
		s.cfg.Logger.Debug("snapshot request failed", "err", err)
	}
}

// receiveSnapshot receives a part of an edge's snapshot, and applies it after the last one.
func (s *shard) receiveSnapshot(m *nats.Msg) {
	if len(m.Data) == 0 && m.Header.Get("Status") == strconv.Itoa(http.StatusServiceUnavailable) {
		s.sync.until = s.now // no edge is running
		return
	}
	part := new(wire.Snapshot)
	if err := wire.Unmarshal(m.Data, part); err != nil || part.Shard != uint64(s.lease.Shard) {
		s.cfg.Logger.Warn("malformed snapshot", "event", "sync.malformed", "err", err)
		return
	}
	parts, first := s.sync.edges.Receive(part)
	if len(parts) == 0 {
		return
	}
	e := membership.Edge{ID: part.Edge, Gen: part.Gen}
	if !s.ledger.Loaded() {
		s.sync.early = append(s.sync.early, func() { s.applySnapshot(e, parts, first) })
	} else {
		s.applySnapshot(e, parts, first)
	}
	if s.sync.edges.Complete() && s.hasSeen(e) {
		s.sync.until = s.now
	}
}

// loadLedger reads what the previous owner has stored and announced.
func (s *shard) loadLedger() {
	s.ledger.Load(ledger.Loader{
		Restore: func(h ledger.Holding) {
			if h.Room == "" {
				s.users.Restore(&h)
			} else {
				s.rooms.Restore(&h)
			}
		},
		Announce: s.repeatNews,
		Done: func() {
			s.rooms.FinishRestore()
			for _, apply := range s.sync.early {
				apply()
			}
			s.sync.early = nil
		},
	})
}

// endSync runs the commands that waited, when the ledger was read and the snapshots have
// arrived or are late.
func (s *shard) endSync() {
	if s.sync.active && s.ledger.Loaded() && !s.now.Before(s.sync.until) {
		s.finishSync()
	}
}

// applySnapshot makes an edge's snapshot the truth about the edge. Users that the ledger does
// not know were not announced. Without a ledger, of an earlier release, those of the first
// snapshot were, unless this owner has had time to announce that they have left.
func (s *shard) applySnapshot(e membership.Edge, parts []*wire.Snapshot, first bool) {
	announce := !s.ledger.Fresh() || !first || s.now.Sub(s.startedAt) >= liveness.MinAnnounceAge
	var members []wire.RoomMembers
	var users []wire.UserUp
	var opening []string
	for _, p := range parts {
		members, users, opening = append(members, p.Rooms...), append(users, p.Users...), append(opening, p.Opening...)
	}
	s.rooms.Replace(e, members, announce)
	s.users.Replace(e, users, opening, announce)
}

// hasSeen reports whether heartbeats have arrived at all, that of e at least: an instance that
// has just started does not know how many edges will answer.
func (s *shard) hasSeen(e membership.Edge) bool { return slices.Contains(s.cfg.Edges.Live(s.now), e) }

// finishSync runs the commands that waited for the snapshots.
func (s *shard) finishSync() {
	if !s.sync.active {
		return
	}
	s.sync.active = false
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
