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

func updatePresence(c *command, data []byte) error {
	var p event.UpdatePresence
	if err := p.Decode(data); err != nil {
		return err
	}
	c.run = func(c *command) {
		s := c.s
		m := wire.UserStatus{User: s.User, Status: p.Status, Custom: p.CustomStatus}
		s.local.core.Relay.UserCommand(subject.Shard(s.User.ID), subject.OpUserStatus, &m, c.deadline(),
			s.onLoop(func(reply []byte, err error) {
				var m wire.Done
				if err := relay.Unpack(reply, err, &m); err != nil {
					c.fail(err)
					return
				}
				c.succeed(&event.PresenceUpdated{Status: p.Status, CustomStatus: p.CustomStatus, Timestamp: s.now()})
			}))
	}
	return nil
}

// getPresence answers for the users named. Without names: with presence scope all,
// up to a hundred who are online anywhere; with scope rooms, the asker and those
// who share a room with this connection and are connected to this edge.
func getPresence(c *command, data []byte) error {
	var p event.GetPresence
	if err := p.Decode(data); err != nil {
		return err
	}
	c.run = func(c *command) {
		switch {
		case p.UserIDs != nil:
			c.presenceOf(p.UserIDs)
		case c.s.local.core.RoomScope:
			c.presenceNearby()
		default:
			c.presenceAnywhere(rand.Perm(subject.Shards), nil)
		}
	}
	return nil
}

// presenceOf asks the owners of the users' shards, and answers in the order of ids.
func (c *command) presenceOf(ids []string) {
	byShard := make(map[int][]string)
	for _, id := range ids {
		shard := subject.Shard(id)
		byShard[shard] = append(byShard[shard], id)
	}
	known := make(map[string]wire.Presence, len(ids))
	queries := make(map[int]wire.UserGet, len(byShard))
	for shard, users := range byShard {
		queries[shard] = wire.UserGet{Users: users}
	}
	c.gather(queries, func(list []wire.Presence) {
		for _, p := range list {
			known[p.User.ID] = p
		}
	}, func() {
		var list []wire.Presence
		for _, id := range ids {
			if p, ok := known[id]; ok {
				list = append(list, p)
			}
		}
		c.answerPresence(list)
	})
}

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
		c.answerPresence(found[:min(len(found), event.MaxPresence)])
		return
	}
	n := min(wave, len(shards))
	queries := make(map[int]wire.UserGet, n)
	for _, shard := range shards[:n] {
		queries[shard] = wire.UserGet{Limit: event.MaxPresence}
	}
	c.gather(queries,
		func(list []wire.Presence) { found = append(found, list...) },
		func() { c.presenceAnywhere(shards[n:], found) })
}

// gather asks the owners of several user shards and calls each with what they say,
// then done; or fails the command, once.
func (c *command) gather(queries map[int]wire.UserGet, each func([]wire.Presence), done func()) {
	left, failed := len(queries), false
	if left == 0 {
		done()
		return
	}
	for shard, q := range queries {
		c.s.local.core.Relay.UserCommand(shard, subject.OpUserGet, &q, c.deadline(), c.s.onLoop(func(reply []byte, err error) {
			var m wire.Presences
			err = relay.Unpack(reply, err, &m)
			switch left--; {
			case failed:
			case err != nil:
				failed = true
				c.fail(err)
			default:
				if each(m.Users); left == 0 {
					done()
				}
			}
		}))
	}
}

func (c *command) answerPresence(list []wire.Presence) {
	r := event.PresenceRetrieved{Success: true, Timestamp: c.s.now()}
	for _, p := range list {
		r.PresenceData = append(r.PresenceData, event.PresenceOf(p))
	}
	c.succeed(&r)
}
