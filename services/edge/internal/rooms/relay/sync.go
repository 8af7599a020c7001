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

	// digestSilence is less than the time for which owners repeat a head that has moved
	// (10 s): a longer silence may have hidden one. Owners send a digest at least every 4 s.
	digestSilence = 9 * time.Second

	// checkTimeout bounds a check of what an owner believes; the next one follows soon.
	checkTimeout = time.Second
)

// sums describe what this edge holds in one shard.
type sums struct{ members, users wire.Sum }

// checkOwners sends the sums of half of the shards to their owners, so that each owner is
// checked every other second. An owner that differs requests a snapshot. The other half
// follows with the next call.
func (in *intake) checkOwners() {
	in.checked++
	for shard := in.index; shard < subject.Shards; shard += len(in.relay.intakes) {
		if (shard/len(in.relay.intakes)+in.checked)%2 == 0 {
			in.checkOwner(shard)
		}
	}
}

func (in *intake) checkOwner(shard int) {
	m := wire.Check{Origin: in.relay.origin, Members: in.sums[shard].members, Users: in.sums[shard].users}
	in.lane(roomShard, shard).submit(&call{
		subject: subject.RoomCommand(shard, subject.OpCheck), data: wire.Marshal(&m),
		deadline: in.now.Add(checkTimeout), done: func([]byte, error) {},
	})
}

// sendSnapshot answers the owner of a shard with its members and users on this edge. Those
// that no owner has counted yet are only named: their own Join or UserUp waits in the lane,
// and must be reported as new.
func (in *intake) sendSnapshot(m *nats.Msg) {
	var q wire.Sync
	if wire.Unmarshal(m.Data, &q) != nil || m.Reply == "" || q.Shard >= subject.Shards {
		return
	}
	if shard := int(q.Shard); in.relay.intake(shard) == in && (q.Edge == "" || q.Edge == in.relay.origin.Edge) {
		in.publishSnapshot(shard, m.Reply)
	}
}

func (in *intake) publishSnapshot(shard int, to string) {
	s := wire.Snapshot{Origin: in.relay.origin, Shard: uint64(shard), Part: 1}
	size := 0
	send := func(more int) {
		if size += more; size < snapshotBytes {
			return
		}
		in.publish(to, &s)
		s.Part++
		s.Rooms, s.Users, s.Opening, size = nil, nil, nil, 0
	}
	for _, r := range in.held(shard) {
		for part := range slices.Chunk(r.roster.list, headsAtOnce) {
			members := wire.RoomMembers{Room: r.hub.ID, Head: r.stream.Delivered()}
			bytes := len(r.hub.ID)
			for i := range part {
				if part[i].known {
					members.Users = append(members.Users, *part[i].user)
				} else {
					members.Joining = append(members.Joining, part[i].user.ID)
				}
				bytes += userBytes(part[i].user)
			}
			s.Rooms = append(s.Rooms, members)
			send(bytes)
		}
	}
	for _, u := range in.users[shard].list() {
		switch {
		case u.conns == 0:
		case u.acked == 0:
			s.Opening = append(s.Opening, u.user.ID)
			send(userBytes(u.user))
		default:
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
	in.publish(to, &s)
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
			in.lostAt = time.Time{}
			in.catchUp()
		}
	case nats.RECONNECTING, nats.DISCONNECTED:
		if in.lostAt.IsZero() {
			in.lostAt = in.now
		}
	}
}

// catchUp recovers from an outage: it requests what was missed, and checks at once what the
// owners believe.
func (in *intake) catchUp() {
	for l := range in.stalled {
		l.retryAt = in.now
	}
	in.repairs.spread(in.now)
	in.checkOwners()
	in.checkOwners()
	in.headsAt = in.now.Add(rand.N(jitter))
	in.log.Info("catching up after an outage", "event", "relay.catchup")
}

// noticeReconnect asks for the events that were missed while the connection was lost. It must
// be called before a message of the new connection is processed.
func (in *intake) noticeReconnect() {
	n := in.nc.Stats().Reconnects
	if n == in.reconnects {
		return
	}
	in.reconnects = n
	for shard, number := range in.numbers {
		if number > 0 {
			in.askRepeat(shard)
		}
	}
}

// askRepeat asks the owner of a shard to broadcast the numbered events again that this edge has
// missed. Until the answer they are ignored, so that they arrive in order.
func (in *intake) askRepeat(shard int) {
	if in.asking[shard] {
		return
	}
	in.asking[shard] = true
	in.lane(roomShard, shard).submit(&call{
		subject: subject.RoomCommand(shard, subject.OpRepeat), data: wire.Marshal(&wire.Repeat{After: in.numbers[shard]}),
		deadline: in.now.Add(presencePatience),
		done: func(reply []byte, err error) {
			in.asking[shard] = false
			var m wire.Repeated
			if Unpack(reply, err, &m) == nil {
				in.repeated[shard] = m.Number
			}
		},
	})
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
