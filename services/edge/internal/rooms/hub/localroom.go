package hub

import (
	"github.com/confab-chat/confab/services/edge/internal/codec"
)

// inlineMembers is how many members a local room holds without a slice of its own. A
// room of ten has about that many on one of two loops.
const inlineMembers = 8

// LocalRoom is one loop's side of a room, owned by the loop.
type LocalRoom struct {
	// Static.
	room  *Room
	local *Local

	members   []*Client              // backed by inline while they fit
	inline    [inlineMembers]*Client // used through members only
	followers []*Follower
	live      uint64 // the last seq that members were sent, or that is lost
	pending   []post // posted, not delivered yet
	shared    bool   // pending is the intake's slice, which other loops use too
	deferred  bool   // Flush runs at the end of this turn
	paused    bool   // waits for the end of the loop's write pause
}

func newLocalRoom(r *Room, l *Local) *LocalRoom {
	local := &LocalRoom{room: r, local: l}
	local.members = local.inline[:0]
	return local
}

// ID returns the room's id.
func (r *LocalRoom) ID() string { return r.room.ID }

// Shard returns the room's shard.
func (r *LocalRoom) Shard() int { return r.room.Shard }

// addPosts receives what the intake has flushed.
func (r *LocalRoom) addPosts(posts []post) {
	switch {
	case r.pending == nil:
		r.pending, r.shared = posts, true
	case r.shared:
		own := make([]post, 0, 2*(len(r.pending)+len(posts)))
		r.pending, r.shared = append(append(own, r.pending...), posts...), false
	default:
		r.pending = append(r.pending, posts...)
	}
	switch pause := &r.local.pause; {
	case !pause.timer.Armed():
		r.deferFlush()
	case !r.paused:
		r.paused = true
		pause.waiting = append(pause.waiting, r)
	}
}

// deferFlush schedules Flush for the end of this turn.
func (r *LocalRoom) deferFlush() {
	if !r.deferred {
		r.deferred = true
		r.local.loop.Defer(r)
	}
}

// Flush delivers what is pending: one Send per member for all messages that follow
// each other. The loop calls it at the end of a turn.
func (r *LocalRoom) Flush() {
	r.deferred = false
	posts := r.pending
	if len(posts) == 0 {
		return
	}
	r.pending = nil
	r.local.pause.noteSending()
	for len(posts) > 0 {
		n := 1
		for n < len(posts) && mergeable(&posts[n-1], &posts[n]) {
			n++
		}
		r.deliver(posts[:n])
		posts = posts[n:]
	}
}

// mergeable reports whether b may go out in one Send with a.
func mergeable(a, b *post) bool {
	return len(a.items) > 0 && len(b.items) > 0 && a.last+1 == b.first
}

// deliver sends one post, or several posts of messages, to all members and followers.
func (r *LocalRoom) deliver(posts []post) {
	var frames [codec.Codecs][]byte
	first := &posts[0]
	reached := 0
	for _, c := range r.members {
		if first.skips(c) || len(first.event.Rooms) > 0 && r.reachedThroughEarlierRoom(c, first.event.Rooms) {
			continue
		}
		b := frames[c.Codec]
		if b == nil {
			b = r.frames(posts, c.Codec)
			frames[c.Codec] = b
		}
		if c.out.Send(b, first.class) {
			reached++
		}
	}
	if first.ordered() {
		r.live = posts[len(posts)-1].last
		r.local.logDelivery(r.room.ID, posts, frames[1:])
	}
	r.sendToFollowers(posts)
	events := 0
	for i := range posts {
		events += posts[i].count()
	}
	r.local.delivered.Add(uint64(reached * events))
}

// frames returns the posts' frames for a codec, one after the other.
func (r *LocalRoom) frames(posts []post, codec uint8) []byte {
	enc := r.local.hub.encoders[codec]
	if len(posts) == 1 {
		return posts[0].framesFor(codec, enc)
	}
	n := 0
	for i := range posts {
		n += len(posts[i].frames[codec])
	}
	all := make([]byte, 0, n)
	for i := range posts {
		all = append(all, posts[i].framesFor(codec, enc)...)
	}
	return all
}

// reachedThroughEarlierRoom reports whether c gets a presence event through a room that
// precedes this one in rooms, the list of rooms of the user that it is about.
func (r *LocalRoom) reachedThroughEarlierRoom(c *Client, rooms []string) bool {
	for _, id := range rooms {
		if id == r.room.ID {
			return false
		}
		if other := c.LocalRoom(id); other != nil && !other.room.crowded.Load() {
			return true
		}
	}
	return false
}

// Join makes c a member, which gets everything from now on. It reports whether c is
// new: one that has joined or follows already stays as it is.
func (r *LocalRoom) Join(c *Client) bool {
	r.deliverPending()
	if c.membershipIn(r) != nil {
		return false
	}
	c.memberships.Add(membership{room: r, from: r.live})
	r.addMember(c)
	return true
}

// Leave ends c's membership. It reports whether there was one.
func (r *LocalRoom) Leave(c *Client) bool {
	m := c.membershipIn(r)
	if m == nil {
		return false
	}
	followed := m.follower != nil
	if followed {
		r.removeFollower(m.follower)
	} else {
		r.removeMember(int(m.at))
	}
	if c.memberships.Remove(c.indexOf(r)); followed {
		c.noteCaughtUp(r.local)
	}
	return true
}

// deliverPending delivers what is pending to those who are members now, before the
// members change.
func (r *LocalRoom) deliverPending() {
	if len(r.pending) > 0 {
		deferred := r.deferred // if set, Flush runs again at the end of the turn and finds nothing
		r.Flush()
		r.deferred = deferred
	}
}

// addMember adds c, which has a membership, to the members.
func (r *LocalRoom) addMember(c *Client) {
	m := c.membershipIn(r)
	m.follower, m.at = nil, int32(len(r.members))
	r.members = append(r.members, c)
}

func (r *LocalRoom) removeMember(at int) {
	last := len(r.members) - 1
	if moved := r.members[last]; at != last {
		r.members[at] = moved
		moved.membershipIn(r).at = int32(at)
	}
	r.members[last] = nil
	r.members = r.members[:last]
}
