package hub

import (
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

const (
	// maxHeld and maxHeldBytes bound what one follower keeps of the live messages
	// while it catches up. They are shared with everybody else's; what is beyond
	// comes with a later page.
	maxHeld      = 64
	maxHeldBytes = 64 << 10
)

// Follower is a client that has joined a room but is behind: it is given pages of
// the room's history until it meets the live messages, and is then a member like
// all others. Each message reaches it once, in order. Owned by the part's loop.
type Follower struct {
	part   *Part // nil when it is over
	client *Client
	pos    uint64 // the last seq it was given, or does not want
	from   uint64 // every live message after it was given or is in held
	held   []*post
	bytes  int
	quiet  bool    // nothing is told before Begin
	early  []*post // events that came before Begin
}

// Follow makes c a follower that has everything up to pos; nothing is told to it
// before Begin. A member becomes one too, a follower begins anew; it returns false
// for both.
func (p *Part) Follow(c *Client, pos uint64) (*Follower, bool) {
	p.settle()
	f := &Follower{part: p, client: c, pos: pos, from: p.live, quiet: true}
	pl := c.placeIn(p)
	fresh := pl == nil
	switch {
	case fresh:
		c.places.Add(place{part: p})
		pl = c.placeIn(p)
	case pl.follower != nil:
		p.unfollow(pl.follower)
	default:
		p.removeMember(int(pl.at))
	}
	pl.follower, pl.from = f, pos
	p.followers = append(p.followers, f)
	return f, fresh
}

// Begin lets the follower be told what came since Follow and comes from now on.
func (f *Follower) Begin() {
	if f.part == nil || !f.quiet {
		return
	}
	f.quiet = false
	early := f.early
	f.early = nil
	for _, q := range early {
		f.part.tell(f.client, q)
	}
	f.meet()
}

// Done tells that the follower has become a member, has left, or begins anew.
func (f *Follower) Done() bool { return f.part == nil }

// Pos is the last seq it was given, or does not want: the next page comes after it.
func (f *Follower) Pos() uint64 { return f.pos }

// Page gives it messages that follow each other, out of the room's history; what
// it has had already is left out.
func (f *Follower) Page(items []wire.Item) {
	for len(items) > 0 && items[0].Seq <= f.pos {
		items = items[1:]
	}
	if f.part == nil || len(items) == 0 {
		return
	}
	f.part.sendItems(f.client, items)
	f.pos = items[len(items)-1].Seq
	f.meet()
}

// Skip says that nothing can be given up to seq to.
func (f *Follower) Skip(to uint64) {
	if f.part != nil && to > f.pos {
		f.pos = to
		f.meet()
	}
}

// meet ends the following if nothing is missing between pos and the live messages.
func (f *Follower) meet() {
	p := f.part
	if f.quiet || f.pos < f.from {
		return
	}
	held := f.held
	f.held, f.bytes = nil, 0
	for _, q := range held {
		f.give(q)
	}
	f.from = p.live
	if f.pos == p.live {
		p.promote(f)
	}
}

// give sends the part of q that is new.
func (f *Follower) give(q *post) {
	if q.last <= f.pos {
		return
	}
	f.client.out.Send(q.encode(f.part.local.hub.encoders[f.client.Codec], f.pos), q.class)
	f.part.local.delivered.Add(uint64(q.count()))
	f.pos = q.last
}

// tellFollowers gives posts, of which the members have had their share, to those
// who are behind or ahead.
func (p *Part) tellFollowers(posts []post) {
	for i := len(p.followers) - 1; i >= 0; i-- { // backwards: who has caught up leaves the list
		f := p.followers[i]
		for j := range posts {
			f.live(&posts[j])
		}
		if !f.quiet && f.pos == p.live && f.pos == f.from {
			p.promote(f)
		}
	}
}

// live takes a post as it goes to the members.
func (f *Follower) live(q *post) {
	switch {
	case !q.ordered() && f.quiet:
		if q.class != conn.Typing && len(f.early) < maxHeld {
			f.early = append(f.early, q)
		}
	case !q.ordered():
		f.part.tell(f.client, q)
	case f.pos >= f.from && !f.quiet: // nothing is missing, it only waited for the live messages to come so far
		f.give(q)
		f.from = q.last
	default:
		f.hold(q)
	}
}

// hold keeps q for later; when that is too much, the follower starts over.
func (f *Follower) hold(q *post) {
	if len(f.held) == maxHeld || f.bytes+q.size() > maxHeldBytes {
		f.held, f.bytes, f.from = nil, 0, q.last
		return
	}
	f.held = append(f.held, q)
	f.bytes += q.size()
}

// tell gives an event to a follower. It does not see who types: that is over
// before it has caught up.
func (p *Part) tell(c *Client, q *post) {
	if q.class == conn.Typing || q.skips(c) || p.toldElsewhere(c, q.event.Rooms) {
		return
	}
	c.out.Send(q.framesFor(c.Codec, p.local.hub.encoders[c.Codec]), q.class)
	p.local.delivered.Add(1)
}

// promote makes a member of a follower.
func (p *Part) promote(f *Follower) {
	p.unfollow(f)
	p.add(f.client)
	f.client.settled(p.local)
}

// unfollow ends a following.
func (p *Part) unfollow(f *Follower) {
	for i, other := range p.followers {
		if other == f {
			last := len(p.followers) - 1
			p.followers[i] = p.followers[last]
			p.followers[last] = nil
			p.followers = p.followers[:last]
			break
		}
	}
	f.part, f.held = nil, nil
}

// Waits tells that nothing is missing, but the live messages have not come as far as
// the history that it was given.
func (f *Follower) Waits() bool { return f.part != nil && f.pos >= f.from && f.pos > f.part.live }
