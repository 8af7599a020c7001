package relay

import (
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

const (
	// snapshotBytes is about how much goes into one part of a snapshot: a quarter
	// of what NATS takes, because sizes are estimated.
	snapshotBytes = 256 << 10

	// headsAtOnce is how many rooms are asked about in one request.
	headsAtOnce = 500

	// declaredDead is how long an edge may have been silent without being declared
	// dead by anybody, with a second to spare (the owners wait 5 s).
	declaredDead = 4 * time.Second

	// digestSilence is less than the time for which owners tell a head that has
	// moved (10 s): a longer silence may have hidden one. They tell each 4 s at least.
	digestSilence = 9 * time.Second

	// registering is how many users are announced again at once.
	registering = 256
)

// sync answers a new owner of a shard: who of it is here. Those of whom no owner
// has heard are left out: their own Join or UserUp waits in the lane, and is news.
func (in *intake) sync(m *nats.Msg) {
	var q wire.Sync
	if wire.Unmarshal(m.Data, &q) != nil || m.Reply == "" || q.Shard >= subject.Shards {
		return
	}
	shard := int(q.Shard)
	if in.relay.intake(shard) != in {
		return // the intake that holds the shard answers
	}
	s := wire.Snapshot{Origin: in.relay.Origin(), Shard: q.Shard}
	size := 0
	send := func(more int) {
		if size += more; size < snapshotBytes {
			return
		}
		in.publish(m.Reply, &s)
		s.Rooms, s.Users, size = nil, nil, 0
	}
	for _, r := range in.held(shard) {
		for _, part := range chunks(r.roster.list, headsAtOnce) {
			members := wire.RoomMembers{Room: r.hub.ID}
			bytes := len(r.hub.ID)
			for i := range part {
				if !part[i].known {
					continue
				}
				members.Users = append(members.Users, *part[i].user)
				bytes += userBytes(part[i].user)
			}
			s.Rooms = append(s.Rooms, members)
			send(bytes)
		}
	}
	for _, u := range in.users[shard].list() {
		if u.conns > 0 && u.told > 0 {
			up := u.up()
			s.Users = append(s.Users, up)
			bytes := userBytes(u.user)
			for _, room := range up.Rooms {
				bytes += len(room) + 4
			}
			send(bytes)
		}
	}
	s.Last = true
	in.publish(m.Reply, &s)
}

// userBytes is about what a user takes in a snapshot.
func userBytes(u *wire.User) int { return len(u.ID) + len(u.Name) + 48 }

// publish sends a message that nobody answers. Without NATS it is lost, and
// whoever it was for asks again.
func (in *intake) publish(subj string, m wire.Message) {
	if err := in.nc.Publish(subj, wire.Marshal(m)); err != nil {
		in.log.Debug("not published", "event", "relay.publish", "subject", subj, "err", err)
	}
}

// connection takes a change of the NATS connection.
func (in *intake) connection(s nats.Status) {
	switch s {
	case nats.CONNECTED:
		if !in.lostAt.IsZero() {
			lostAt := in.lostAt
			in.lostAt = time.Time{}
			in.restored(lostAt)
		}
	case nats.RECONNECTING, nats.DISCONNECTED:
		if in.lostAt.IsZero() {
			in.lostAt = in.now
		}
	}
}

// restored makes good for an outage: what was said meanwhile is asked for, and an
// edge that may have been declared dead begins a new life.
func (in *intake) restored(lostAt time.Time) {
	for l := range in.dark {
		l.retry = in.now
	}
	in.repairs.spread(in.now)
	if in.now.Sub(lostAt) >= in.relay.dead {
		in.relay.rebirth(lostAt)
	}
	in.headsAt = in.now.Add(rand.N(jitter))
	in.log.Info("catching up after an outage", "event", "relay.restored")
}

// askHeads asks the owners how far the rooms have come.
func (in *intake) askHeads() {
	clear(in.digests[:]) // their silence is explained
	byShard := make(map[int][]string)
	for _, r := range in.rooms {
		byShard[r.hub.Shard] = append(byShard[r.hub.Shard], r.hub.ID)
	}
	for shard, rooms := range byShard {
		in.askHeadsOf(shard, rooms)
	}
}

// askShard asks the owner of a shard how far its rooms have come.
func (in *intake) askShard(shard int) {
	var rooms []string
	for _, r := range in.held(shard) {
		rooms = append(rooms, r.hub.ID)
	}
	in.askHeadsOf(shard, rooms)
}

func (in *intake) askHeadsOf(shard int, rooms []string) {
	for _, part := range chunks(rooms, headsAtOnce) {
		in.lane(roomShard, shard).do(&call{
			subject: subject.RoomCommand(shard, subject.OpHeads), data: wire.Marshal(&wire.Heads{Rooms: part}),
			deadline: in.now.Add(goodbye),
			done: func(reply []byte, err error) {
				var d wire.Digest
				if err := Unpack(reply, err, &d); err != nil {
					in.log.Debug("heads not learnt", "event", "relay.heads", "err", err)
					return
				}
				in.heads(d.Heads)
			},
		})
	}
}

// registrations are rooms whose members are announced again, a few at a time.
type registrations struct {
	queue  []*room
	flying int
}

// register announces everybody again, under the edge's new generation.
func (in *intake) register() {
	in.joins.queue = in.joins.queue[:0]
	for _, r := range in.rooms {
		in.joins.queue = append(in.joins.queue, r)
	}
	for i := range in.users {
		for _, u := range in.users[i].list() {
			u.renewed()
		}
	}
	in.joins.start(in)
}

func (q *registrations) start(in *intake) {
	for len(q.queue) > 0 && q.flying < registering {
		last := len(q.queue) - 1
		r := q.queue[last]
		q.queue[last] = nil
		q.queue = q.queue[:last]
		if in.rooms[r.hub.ID] != r {
			continue
		}
		for i := range r.roster.list {
			in.announce(r, r.roster.list[i].user, r.roster.list[i].known)
		}
	}
}

// announce asks the owner to count a member who has joined before.
func (in *intake) announce(r *room, u *wire.User, again bool) {
	in.joins.flying++
	m := wire.Join{Origin: in.relay.Origin(), Room: r.hub.ID, User: *u, Again: again}
	in.lane(roomShard, r.hub.Shard).do(&call{
		subject: subject.RoomCommand(r.hub.Shard, subject.OpJoin), data: wire.Marshal(&m),
		deadline: in.now.Add(goodbye),
		alive:    func() bool { return r.roster.has(u.ID) },
		done: func(reply []byte, err error) {
			in.joins.flying--
			var m wire.Joined
			if err := Unpack(reply, err, &m); err != nil {
				in.log.Debug("member not announced", "event", "relay.register", "room", r.hub.ID, "err", err)
				return
			}
			r.setTotal(m.Total)
			r.stream.Head(in.now, m.Head, &in.out)
			r.emit()
		},
	})
}
