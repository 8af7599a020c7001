package relay

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

const (
	// snapshotBytes is the approximate size of one part of a snapshot: a quarter of what
	// NATS accepts, because sizes are estimated.
	snapshotBytes = 256 << 10

	// headsAtOnce is how many rooms one request for heads names.
	headsAtOnce = 500

	// declaredDead is how long an edge may be silent before an owner may have declared it
	// dead, with a margin of a second: owners wait 5 s.
	declaredDead = 4 * time.Second

	// digestSilence is less than the time for which owners repeat a head that has moved
	// (10 s): a longer silence may have hidden one. Owners send a digest at least every 4 s.
	digestSilence = 9 * time.Second

	// maxRejoins is how many users are announced again at once.
	maxRejoins = 256
)

// sendSnapshot answers a new owner of a shard with its members and users on this edge. It
// omits those that no owner has counted yet: their own Join or UserUp waits in the lane,
// and must be reported as new.
func (in *intake) sendSnapshot(m *nats.Msg) {
	var q wire.Sync
	if wire.Unmarshal(m.Data, &q) != nil || m.Reply == "" || q.Shard >= subject.Shards {
		return
	}
	shard := int(q.Shard)
	if in.relay.intake(shard) != in {
		return // the intake that owns the shard answers
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
		for part := range slices.Chunk(r.roster.list, headsAtOnce) {
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
		if u.conns > 0 && u.acked > 0 {
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

// userBytes returns the approximate size of a user in a snapshot.
func userBytes(u *wire.User) int { return len(u.ID) + len(u.Name) + 48 }

// publish sends a message without a reply. While NATS is away the message is lost, and
// the receiver asks again.
func (in *intake) publish(subj string, m wire.Message) {
	if err := in.nc.Publish(subj, wire.Marshal(m)); err != nil {
		in.log.Debug("not published", "event", "relay.publish", "subject", subj, "err", err)
	}
}

// onStatus receives a change of the NATS connection.
func (in *intake) onStatus(s nats.Status) {
	switch s {
	case nats.CONNECTED:
		if !in.lostAt.IsZero() {
			lostAt := in.lostAt
			in.lostAt = time.Time{}
			in.catchUp(lostAt)
		}
	case nats.RECONNECTING, nats.DISCONNECTED:
		if in.lostAt.IsZero() {
			in.lostAt = in.now
		}
	}
}

// catchUp recovers from an outage: it requests what was missed, and starts a new
// generation if the edge may have been declared dead.
func (in *intake) catchUp(lostAt time.Time) {
	for l := range in.stalled {
		l.retryAt = in.now
	}
	in.repairs.spread(in.now)
	if in.now.Sub(lostAt) >= in.relay.dead {
		in.relay.renewGeneration(lostAt)
	}
	in.headsAt = in.now.Add(rand.N(jitter))
	in.log.Info("catching up after an outage", "event", "relay.catchup")
}

// askHeads requests the heads of all rooms from their owners.
func (in *intake) askHeads() {
	clear(in.digests[:]) // the outage explains their silence
	byShard := make(map[int][]string)
	for _, r := range in.rooms {
		byShard[r.hub.Shard] = append(byShard[r.hub.Shard], r.hub.ID)
	}
	for shard, rooms := range byShard {
		in.askHeadsOf(shard, rooms)
	}
}

// askShard requests the heads of a shard's rooms from its owner.
func (in *intake) askShard(shard int) {
	var rooms []string
	for _, r := range in.held(shard) {
		rooms = append(rooms, r.hub.ID)
	}
	in.askHeadsOf(shard, rooms)
}

func (in *intake) askHeadsOf(shard int, rooms []string) {
	for part := range slices.Chunk(rooms, headsAtOnce) {
		in.lane(roomShard, shard).submit(&call{
			subject: subject.RoomCommand(shard, subject.OpHeads), data: wire.Marshal(&wire.Heads{Rooms: part}),
			deadline: in.now.Add(presencePatience),
			done: func(reply []byte, err error) {
				var d wire.Digest
				if err := Unpack(reply, err, &d); err != nil {
					in.log.Debug("heads not received", "event", "relay.heads", "err", err)
					return
				}
				in.updateHeads(d.Heads)
			},
		})
	}
}

// rejoinQueue are rooms whose members are announced again, a few at a time.
type rejoinQueue struct {
	queue    []*room
	inFlight int
}

// rejoinAll sends all members and users to their owners again, under the edge's new
// generation.
func (in *intake) rejoinAll() {
	in.rejoins.queue = in.rejoins.queue[:0]
	for _, r := range in.rooms {
		in.rejoins.queue = append(in.rejoins.queue, r)
	}
	for i := range in.users {
		for _, u := range in.users[i].list() {
			u.resendPresence()
		}
	}
	in.rejoins.start(in)
}

func (q *rejoinQueue) start(in *intake) {
	for len(q.queue) > 0 && q.inFlight < maxRejoins {
		last := len(q.queue) - 1
		r := q.queue[last]
		q.queue[last] = nil
		q.queue = q.queue[:last]
		if in.rooms[r.hub.ID] != r {
			continue
		}
		for i := range r.roster.list {
			in.rejoin(r, r.roster.list[i].user, r.roster.list[i].known)
		}
	}
}

// rejoin asks the owner to count a member that has joined before.
func (in *intake) rejoin(r *room, u *wire.User, again bool) {
	in.rejoins.inFlight++
	m := wire.Join{Origin: in.relay.Origin(), Room: r.hub.ID, User: *u, Again: again}
	in.lane(roomShard, r.hub.Shard).submit(&call{
		subject: subject.RoomCommand(r.hub.Shard, subject.OpJoin), data: wire.Marshal(&m),
		deadline: in.now.Add(presencePatience),
		alive:    func() bool { return r.roster.has(u.ID) },
		done: func(reply []byte, err error) {
			in.rejoins.inFlight--
			var m wire.Joined
			if err := Unpack(reply, err, &m); err != nil {
				in.log.Debug("member not joined again", "event", "relay.rejoin", "room", r.hub.ID, "err", err)
				return
			}
			r.setTotal(m.Total)
			r.stream.Head(in.now, m.Head, &in.out)
			r.deliverOut()
		},
	})
}
