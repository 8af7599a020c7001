package hub

import (
	"slices"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

const (
	// maxHeld and maxHeldBytes bound the live posts that one follower keeps while it
	// catches up. The posts are shared with all others. What exceeds the bounds is
	// dropped here and comes with a later page of history.
	maxHeld      = 64
	maxHeldBytes = 64 << 10
)

// Follower is a client that has joined a room but has not caught up with it. It is sent
// pages of the room's history until they meet the live messages, and then becomes a
// member. Each message reaches it once, in order. Owned by the room's loop.
type Follower struct {
	room   *LocalRoom // nil when it has ended
	client *Client
	pos    uint64  // the last seq that it was sent, or does not want
	from   uint64  // every live message after it was sent or is in held
	held   []*post // live messages, kept until the pages reach them
	bytes  int     // size of held
	paused bool    // nothing is sent before Start
	early  []*post // events that came before Start
}

// Follow makes c a follower that has everything up to pos. Nothing is sent to it before
// Start. A member becomes a follower, and a follower starts anew; the result reports
// whether c was neither.
func (r *LocalRoom) Follow(c *Client, pos uint64) (*Follower, bool) {
	r.deliverPending()
	f := &Follower{room: r, client: c, pos: pos, from: r.live, paused: true}
	m := c.membershipIn(r)
	fresh := m == nil
	switch {
	case fresh:
		c.memberships.Add(membership{room: r})
		m = c.membershipIn(r)
	case m.follower != nil:
		r.removeFollower(m.follower)
	default:
		r.removeMember(int(m.at))
	}
	m.follower, m.from = f, pos
	r.followers = append(r.followers, f)
	return f, fresh
}

// Start sends the follower what came since Follow, and lets it receive what comes from
// now on.
func (f *Follower) Start() {
	if f.room == nil || !f.paused {
		return
	}
	f.paused = false
	early := f.early
	f.early = nil
	for _, p := range early {
		f.room.sendToFollower(f.client, p)
	}
	f.joinLive()
}

// Ended reports whether the follower has become a member, has left, or has been
// replaced by another.
func (f *Follower) Ended() bool { return f.room == nil }

// Position returns the last seq that it was sent or does not want. The next page
// starts after it.
func (f *Follower) Position() uint64 { return f.pos }

// SendPage sends consecutive messages of the room's history, without those that the
// follower already has.
func (f *Follower) SendPage(items []wire.Item) {
	for len(items) > 0 && items[0].Seq <= f.pos {
		items = items[1:]
	}
	if f.room == nil || len(items) == 0 {
		return
	}
	l := f.room.local
	l.send(f.client, encodeItems(l.hub.encoders[f.client.Codec], items), conn.Message, len(items))
	f.pos = items[len(items)-1].Seq
	f.joinLive()
}

// SkipTo moves the position to seq to: the messages up to it cannot be sent.
func (f *Follower) SkipTo(to uint64) {
	if f.room != nil && to > f.pos {
		f.pos = to
		f.joinLive()
	}
}

// AwaitsLive reports whether the follower has been sent more of the history than the
// live messages cover so far. It needs no further page then.
func (f *Follower) AwaitsLive() bool { return f.room != nil && f.pos >= f.from && f.pos > f.room.live }

// joinLive sends the held messages, and makes the follower a member, once no message
// between its position and the live ones is missing.
func (f *Follower) joinLive() {
	r := f.room
	if f.paused || f.pos < f.from {
		return
	}
	held := f.held
	f.held, f.bytes = nil, 0
	for _, p := range held {
		f.sendNew(p)
	}
	f.from = r.live
	if f.pos == r.live {
		r.promote(f)
	}
}

// sendNew sends the messages of p that come after the position.
func (f *Follower) sendNew(p *post) {
	if p.last <= f.pos {
		return
	}
	l := f.room.local
	l.send(f.client, p.encode(l.hub.encoders[f.client.Codec], f.pos), p.class, p.count())
	f.pos = p.last
}

// sendToFollowers hands posts, which the members have been sent, to the followers.
func (r *LocalRoom) sendToFollowers(posts []post) {
	for i := len(r.followers) - 1; i >= 0; i-- { // backwards: one that has caught up leaves the list
		f := r.followers[i]
		for j := range posts {
			f.addLive(&posts[j])
		}
		if !f.paused && f.pos == r.live && f.pos == f.from {
			r.promote(f)
		}
	}
}

// addLive receives a post at the moment when the members do.
func (f *Follower) addLive(p *post) {
	switch {
	case !p.ordered() && f.paused:
		if p.class != conn.Typing && len(f.early) < maxHeld {
			f.early = append(f.early, p)
		}
	case !p.ordered():
		f.room.sendToFollower(f.client, p)
	case f.pos >= f.from && !f.paused: // no message is missing: it waited for the live ones only
		f.sendNew(p)
		f.from = p.last
	default:
		f.holdBack(p)
	}
}

// holdBack keeps p for later. When that exceeds the bounds, everything held is dropped:
// later pages bring it.
func (f *Follower) holdBack(p *post) {
	if len(f.held) == maxHeld || f.bytes+p.size() > maxHeldBytes {
		f.held, f.bytes, f.from = nil, 0, p.last
		return
	}
	f.held = append(f.held, p)
	f.bytes += p.size()
}

// sendToFollower sends an event that is not a message to a follower. It omits typing
// events, which are stale before the follower has caught up.
func (r *LocalRoom) sendToFollower(c *Client, p *post) {
	if p.class == conn.Typing || p.skips(c) || r.reachedThroughEarlierRoom(c, p.event.Rooms) {
		return
	}
	r.local.send(c, p.framesFor(c.Codec, r.local.hub.encoders[c.Codec]), p.class, 1)
}

// promote makes a follower a member.
func (r *LocalRoom) promote(f *Follower) {
	r.removeFollower(f)
	r.addMember(f.client)
	f.client.noteCaughtUp(r.local)
}

// removeFollower ends f.
func (r *LocalRoom) removeFollower(f *Follower) {
	r.followers = slices.DeleteFunc(r.followers, func(other *Follower) bool { return other == f })
	f.room, f.held = nil, nil
}
