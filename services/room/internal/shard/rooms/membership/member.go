package membership

import (
	"slices"
	"time"
	"unique"
)

// heldBy reports whether e holds the member live, or a newer process of the same edge does,
// which makes commands of e outdated.
func (m *member) heldBy(e unique.Handle[Edge]) bool {
	same := func(h holder) bool { return h.live() && (h.edge == e || supersedes(h.edge, e)) }
	return same(m.first) || slices.ContainsFunc(m.more, same)
}

// keepHolders keeps the holders that keep accepts. It returns false when none is left: then
// first is not valid, and the caller must set it.
func (m *member) keepHolders(keep func(holder) bool) bool {
	m.more = slices.DeleteFunc(m.more, func(h holder) bool { return !keep(h) })
	if !keep(m.first) {
		if len(m.more) == 0 {
			m.more = nil
			return false
		}
		m.first = m.more[len(m.more)-1]
		m.more = m.more[:len(m.more)-1]
	}
	if len(m.more) == 0 {
		m.more = nil
	}
	return true
}

// loseHolders puts the holders that lost selects into a grace until the given offset, or
// shortens theirs, and reports whether that changed anything. Holders whose grace has passed
// at now are removed as long as one remains.
func (r *Room) loseHolders(m *member, now, until time.Duration, lost func(holder) bool) (changed bool) {
	shorten := func(h *holder) {
		if until >= h.until || !lost(*h) {
			return
		}
		if h.live() {
			r.count(h.edge, m.user.ID, false)
		}
		h.until, changed = until, true
	}
	shorten(&m.first)
	for i := range m.more {
		shorten(&m.more[i])
	}
	if changed && m.pending(now) && len(m.more) > 0 {
		m.keepHolders(func(h holder) bool { return h.until > now })
	}
	return changed
}

// until returns the end of the member's last grace, timerheap.Never while an edge holds them.
func (m *member) until() time.Duration {
	until := m.first.until
	for _, h := range m.more {
		until = max(until, h.until)
	}
	return until
}

// pending reports whether the user is still a member after now.
func (m *member) pending(now time.Duration) bool { return m.until() > now }

// supersedes reports whether a is a newer process of b's edge.
func supersedes(a, b unique.Handle[Edge]) bool {
	if a == b {
		return false
	}
	x, y := a.Value(), b.Value()
	return x.ID == y.ID && x.Gen > y.Gen
}
