package session

import (
	"math/rand/v2"
	"slices"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/relay"
)

// wave is how many user shards are asked at once who is online; most answers are
// complete after one.
const wave = 8

// getPresence answers for the users named. Without names: with presence scope all,
// up to a hundred who are online anywhere; with scope rooms, the asker and those
// who share a room with this connection and are connected to this edge.
func (c *command) getPresence() {
	ids := c.payload.(*event.GetPresence).UserIDs
	switch {
	case ids != nil:
		c.presenceOf(ids)
	case c.s.local.core.RoomScope:
		c.presenceNearby()
	default:
		c.presenceAnywhere(rand.Perm(subject.Shards), nil)
	}
}

// presenceOf asks the owners of the users' shards, and answers in the order of ids.
func (c *command) presenceOf(ids []string) {
	byShard := make(map[int][]string)
	for _, id := range ids {
		shard := subject.Shard(id)
		byShard[shard] = append(byShard[shard], id)
	}
	queries := make(map[int]wire.UserGet, len(byShard))
	for shard, users := range byShard {
		queries[shard] = wire.UserGet{Users: users}
	}
	c.gather(queries, func(found []wire.Presence) {
		known := make(map[string]wire.Presence, len(found))
		for _, p := range found {
			known[p.User.ID] = p
		}
		var list []wire.Presence
		for _, id := range ids {
			if p, ok := known[id]; ok {
				list = append(list, p)
			}
		}
		c.replyPresence(list)
	})
}

// presenceNearby answers for the users who share a room with this connection here.
func (c *command) presenceNearby() {
	s := c.s
	var rooms []string
	for i := range s.Rooms() {
		rooms = append(rooms, s.RoomAt(i).ID())
	}
	s.local.core.Relay.Members(rooms, event.MaxPresence, func(ids []string) {
		s.local.loop.Post(func() {
			if s.closed {
				return
			}
			if !slices.Contains(ids, s.User.ID) {
				ids = append([]string{s.User.ID}, ids[:min(len(ids), event.MaxPresence-1)]...)
			}
			c.presenceOf(ids)
		})
	})
}

// presenceAnywhere asks shards, a wave at a time, until there are enough.
func (c *command) presenceAnywhere(shards []int, found []wire.Presence) {
	if len(shards) == 0 || len(found) >= event.MaxPresence {
		c.replyPresence(found[:min(len(found), event.MaxPresence)])
		return
	}
	n := min(wave, len(shards))
	queries := make(map[int]wire.UserGet, n)
	for _, shard := range shards[:n] {
		queries[shard] = wire.UserGet{Limit: event.MaxPresence}
	}
	c.gather(queries, func(list []wire.Presence) { c.presenceAnywhere(shards[n:], append(found, list...)) })
}

// gather asks the owners of several user shards and passes everything they answer to
// done; or fails the command, once.
func (c *command) gather(queries map[int]wire.UserGet, done func([]wire.Presence)) {
	left, failed := len(queries), false
	var all []wire.Presence
	if left == 0 {
		done(nil)
		return
	}
	for shard, q := range queries {
		c.s.local.core.Relay.UserCommand(shard, subject.OpUserGet, &q, c.header, c.deadline(), c.s.onLoop(func(reply []byte, err error) {
			var m wire.Presences
			err = relay.Unpack(reply, err, &m)
			left--
			switch all = append(all, m.Users...); {
			case failed:
			case err != nil:
				failed = true
				c.fail(err)
			case left == 0:
				done(all)
			}
		}))
	}
}

func (c *command) replyPresence(list []wire.Presence) {
	r := event.PresenceRetrieved{Success: true, Timestamp: c.s.now()}
	for _, p := range list {
		r.PresenceData = append(r.PresenceData, event.PresenceOf(p))
	}
	c.succeed(&r)
}
