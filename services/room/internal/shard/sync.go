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
	maxHeld = 2 * mailbox

	// resyncEvery is the least time between two requests for snapshots.
	resyncEvery = 2 * time.Second
)

// syncing is how a new owner learns who is here: it asks all edges.
type syncing struct {
	inbox  string // subject of the answers, without its last token
	active bool   // the first answers are still to come
	until  time.Time
	owed   map[membership.Edge]struct{} // edges that have not answered yet
	held   []*nats.Msg                  // commands that wait for the end
	again  time.Time                    // of the last request but the first
}

// Last tokens of the inbox: snapshots for a new owner are taken silently, later
// ones are news.
const (
	quietly = "q"
	aloud   = "a"
)

// beginSync asks every edge what it holds in this shard.
func (l *loop) beginSync(announce bool) {
	token := quietly
	if announce {
		token = aloud
	} else {
		l.sync.active, l.sync.until = true, l.now.Add(syncWait)
		l.sync.owed = make(map[membership.Edge]struct{})
		for _, e := range l.cfg.Edges.Live(l.now) {
			l.sync.owed[e] = struct{}{}
		}
	}
	msg := wire.Marshal(&wire.Sync{Shard: uint64(l.lease.Shard)})
	if err := l.cfg.Conn.PublishRequest(subject.EdgesSync, l.sync.inbox+"."+token, msg); err != nil {
		l.cfg.Logger.Debug("sync request failed", "err", err)
	}
}

// resync asks again, because an edge that was given up lives.
func (l *loop) resync() {
	if l.now.Sub(l.sync.again) < resyncEvery {
		return
	}
	l.sync.again = l.now
	l.cfg.Logger.Info("edge is back, asking for what it holds", "event", "sync.again", "shard", strconv.Itoa(l.lease.Shard))
	l.beginSync(true)
}

// snapshot takes an edge's answer.
func (l *loop) snapshot(m *nats.Msg) {
	if len(m.Data) == 0 && m.Header.Get("Status") == strconv.Itoa(http.StatusServiceUnavailable) {
		l.endSync() // there is no edge
		return
	}
	var s wire.Snapshot
	if err := wire.Unmarshal(m.Data, &s); err != nil || s.Shard != uint64(l.lease.Shard) {
		l.cfg.Logger.Warn("malformed snapshot", "event", "sync.malformed", "err", err)
		return
	}
	e := membership.Edge{ID: s.Edge, Gen: s.Gen}
	announce := strings.HasSuffix(m.Subject, "."+aloud)
	l.rooms.Restore(e, s.Rooms, announce)
	l.users.Restore(e, s.Users, announce)
	if !s.Last {
		return
	}
	delete(l.sync.owed, e)
	if l.sync.active && len(l.sync.owed) == 0 && l.known(e) {
		l.endSync()
	}
}

// known tells whether the heartbeats of edges have been heard at all: an instance
// that has just begun to listen does not know how many will answer.
func (l *loop) known(e membership.Edge) bool {
	for _, live := range l.cfg.Edges.Live(l.now) {
		if live == e {
			return true
		}
	}
	return false
}

// endSync carries out what has waited for the snapshots.
func (l *loop) endSync() {
	if !l.sync.active {
		return
	}
	l.sync.active, l.sync.owed = false, nil
	held := l.sync.held
	l.sync.held = nil
	for _, m := range held {
		l.command(m)
	}
}

func (l *loop) hold(m *nats.Msg) {
	if len(l.sync.held) >= maxHeld {
		l.refuse(m.Reply, errBusy())
		return
	}
	l.sync.held = append(l.sync.held, m)
}
