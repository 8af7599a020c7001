package namespace

import (
	"sync"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/rooms/hub"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

const (
	// keepLost is how long a lost session can be recovered. It is the default of the
	// reference implementation.
	keepLost = 2 * time.Minute

	// keepMoved is how long an edge remembers to which edge it released a session.
	keepMoved = time.Hour

	// maxKept is how many lost and moved sessions are kept. Beyond it the oldest are
	// dropped, and their clients open new sessions.
	maxKept = 1 << 16
)

// recoverables are the sessions that clients may recover, by private id. Its methods
// may be called concurrently.
type recoverables struct {
	mu    sync.Mutex // guards the following
	byPID map[string]*recoverable
	kept  []keptUntil // lost and moved, oldest first; some were replaced since
}

// recoverable is one session: live, lost, or moved to another edge. It is immutable.
type recoverable struct {
	movedTo string // token of the edge; the other fields are zero

	loop *poll.Loop // live or lost
	user string
	live *sessionSocket   // owned by loop; nil when lost
	mark hub.DeliveryMark // when lost: what the client had been sent
}

type keptUntil struct {
	pid   string
	r     *recoverable
	until time.Time
}

// addLive adds a session whose CONNECT was granted.
func (t *recoverables) addLive(s *sessionSocket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byPID[s.pid] = &recoverable{loop: s.Loop(), user: s.session.User.ID, live: s}
}

// canRecover reports whether a session that ended so can be recovered: the client has
// not ended it, and may reconnect.
func canRecover(cause conn.Cause) bool {
	return cause.Kind != conn.Clean && cause.Code.Reconnect()
}

// keepLost replaces a live session that ends, before it leaves its rooms.
func (t *recoverables) keepLost(s *sessionSocket, cause conn.Cause) {
	if s.pid == "" { // released, or CONNECT was never granted
		return
	}
	var lost *recoverable
	if canRecover(cause) {
		lost = &recoverable{loop: s.Loop(), user: s.session.User.ID, mark: s.session.DeliveryMark()}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.byPID[s.pid]; r != nil && r.live == s {
		t.replaceLocked(s.pid, lost, keepLost)
	}
}

// remove removes a session, if it is still as it was found. The session's next edge is
// kept; movedTo is empty when it is this one.
func (t *recoverables) remove(pid string, found *recoverable, movedTo string) bool {
	var moved *recoverable
	if movedTo != "" {
		moved = &recoverable{movedTo: movedTo}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byPID[pid] != found {
		return false
	}
	t.replaceLocked(pid, moved, keepMoved)
	return true
}

// replaceLocked puts r, which is kept for a while, in the place of what pid had; nil
// removes it. mu is held.
func (t *recoverables) replaceLocked(pid string, r *recoverable, keep time.Duration) {
	now := time.Now()
	for len(t.kept) > 0 && (len(t.kept) >= maxKept || now.After(t.kept[0].until)) {
		k := t.kept[0]
		t.kept[0] = keptUntil{}
		t.kept = t.kept[1:]
		if t.byPID[k.pid] == k.r {
			delete(t.byPID, k.pid)
		}
	}
	if r == nil {
		delete(t.byPID, pid)
		return
	}
	t.byPID[pid] = r
	t.kept = append(t.kept, keptUntil{pid, r, now.Add(keep)})
}

// find returns nil for an unknown id.
func (t *recoverables) find(pid string) *recoverable {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byPID[pid]
}
