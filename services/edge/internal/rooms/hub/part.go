package hub

import (
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
)

// fewMembers is how many members a part has room for in itself: what a room of ten
// has on one of two loops.
const fewMembers = 8

// Part is one loop's side of a room, owned by the loop.
type Part struct {
	room  *Room // static
	local *Local

	members   []*Client           // in few, while they fit
	few       [fewMembers]*Client // to be used by members alone
	followers []*Follower
	live      uint64 // the last seq that the members were given, or that is gone
	pending   []post // posted, not given yet
	shared    bool   // pending is the feeder's slice, which other loops have too
	deferred  bool   // Flush is due in this turn
	waits     bool   // for the end of the loop's rest
}

func newPart(r *Room, l *Local) *Part {
	p := &Part{room: r, local: l}
	p.members = p.few[:0]
	return p
}

// Room is the room's id.
func (p *Part) Room() string { return p.room.ID }

// Shard is the room's shard.
func (p *Part) Shard() int { return p.room.Shard }

// take receives what the feeder has brought.
func (p *Part) take(posts []post) {
	switch {
	case p.pending == nil:
		p.pending, p.shared = posts, true
	case p.shared:
		own := make([]post, 0, 2*(len(p.pending)+len(posts)))
		p.pending, p.shared = append(append(own, p.pending...), posts...), false
	default:
		p.pending = append(p.pending, posts...)
	}
	switch r := &p.local.rest; {
	case !r.alarm.Armed():
		p.wake()
	case !p.waits:
		p.waits = true
		r.waiting = append(r.waiting, p)
	}
}

// wake has what is pending flushed at the end of this turn.
func (p *Part) wake() {
	if !p.deferred {
		p.deferred = true
		p.local.loop.Defer(p)
	}
}

// Flush gives the members what is pending, each with one Send for all messages
// that follow each other. The loop calls it at the end of a turn.
func (p *Part) Flush() {
	p.deferred = false
	posts := p.pending
	if len(posts) == 0 {
		return
	}
	p.pending = nil
	p.local.rest.starts()
	for len(posts) > 0 {
		n := 1
		for n < len(posts) && joins(&posts[n-1], &posts[n]) {
			n++
		}
		p.deliver(posts[:n])
		posts = posts[n:]
	}
}

// joins tells whether b may be in one Send with a.
func joins(a, b *post) bool {
	return len(a.items) > 0 && len(b.items) > 0 && a.last+1 == b.first
}

// deliver gives one post, or several of messages, to everybody.
func (p *Part) deliver(posts []post) {
	var frames [codec.Codecs][]byte
	first := &posts[0]
	told := 0
	for _, c := range p.members {
		if first.skips(c) || len(first.event.Rooms) > 0 && p.toldElsewhere(c, first.event.Rooms) {
			continue
		}
		b := frames[c.Codec]
		if b == nil {
			b = p.frames(posts, c.Codec)
			frames[c.Codec] = b
		}
		c.out.Send(b, first.class)
		told++
	}
	if first.ordered() {
		p.live = posts[len(posts)-1].last
		p.local.leaveTrail(p.room.ID, posts, frames[1:])
	}
	p.tellFollowers(posts)
	events := 0
	for i := range posts {
		events += posts[i].count()
	}
	p.local.delivered.Add(uint64(told * events))
}

// frames are those of posts together for a codec.
func (p *Part) frames(posts []post, codec uint8) []byte {
	enc := p.local.hub.encoders[codec]
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

// toldElsewhere tells whether c hears of the same user in an earlier room of the list.
func (p *Part) toldElsewhere(c *Client, rooms []string) bool {
	for _, id := range rooms {
		if id == p.room.ID {
			return false
		}
		if other := c.Part(id); other != nil && !other.room.crowded.Load() {
			return true
		}
	}
	return false
}

// Join makes c a member: it is given everything from now on. A client that has
// joined already stays as it is, and Join returns false.
func (p *Part) Join(c *Client) bool {
	p.settle()
	if c.placeIn(p) != nil {
		return false
	}
	c.places.Add(place{part: p, from: p.live})
	p.add(c)
	return true
}

// Leave ends c's membership. It returns false when there is none.
func (p *Part) Leave(c *Client) bool {
	pl := c.placeIn(p)
	if pl == nil {
		return false
	}
	followed := pl.follower != nil
	if followed {
		p.unfollow(pl.follower)
	} else {
		p.removeMember(int(pl.at))
	}
	if c.dropPlace(p); followed {
		c.settled(p.local)
	}
	return true
}

// settle gives what is pending to those who are members now, before that changes.
func (p *Part) settle() {
	if len(p.pending) > 0 {
		deferred := p.deferred // Flush is called again at the end of the turn, with nothing to do
		p.Flush()
		p.deferred = deferred
	}
}

// add puts c, which has a place, among the members.
func (p *Part) add(c *Client) {
	pl := c.placeIn(p)
	pl.follower, pl.at = nil, int32(len(p.members))
	p.members = append(p.members, c)
}

func (p *Part) removeMember(at int) {
	last := len(p.members) - 1
	if moved := p.members[last]; at != last {
		p.members[at] = moved
		moved.placeIn(p).at = int32(at)
	}
	p.members[last] = nil
	p.members = p.members[:last]
}

// sendItems gives messages to one client.
func (p *Part) sendItems(c *Client, items []wire.Item) {
	if len(items) > 0 {
		c.out.Send(appendItems(nil, p.local.hub.encoders[c.Codec], items), conn.Message)
		p.local.delivered.Add(uint64(len(items)))
	}
}
