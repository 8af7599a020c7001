package relay

import (
	"math/rand/v2"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

const (
	// maxRepairs bounds an intake's concurrent repairs, at most one per room: an outage
	// opens a hole in every room, and the owner has other work.
	maxRepairs = 8

	// repairTimeout bounds one repair; the stream retries later.
	repairTimeout = 2 * time.Second

	// jitter spreads the requests of all edges after an outage.
	jitter = 200 * time.Millisecond
)

// repairs queues rooms with a hole.
type repairs struct {
	queue     []*room
	running   int
	notBefore time.Time // set after an outage
}

func (q *repairs) add(r *room) {
	if !r.queued {
		r.queued = true
		q.queue = append(q.queue, r)
	}
}

// spread delays the repairs after an outage by a random time.
func (q *repairs) spread(now time.Time) { q.notBefore = now.Add(rand.N(jitter)) }

// next returns when start has something to do; false if it has nothing.
func (q *repairs) next() (time.Time, bool) {
	return q.notBefore, len(q.queue) > 0 && q.running < maxRepairs
}

func (q *repairs) start(in *intake) {
	for len(q.queue) > 0 && q.running < maxRepairs && !in.now.Before(q.notBefore) {
		r := q.queue[0]
		q.queue[0] = nil
		q.queue = q.queue[1:]
		r.queued = false
		in.repair(r)
	}
}

// repair requests the room's first hole from the owner.
func (in *intake) repair(r *room) {
	hole := r.stream.Missing()
	if hole.None() || in.rooms[r.hub.ID] != r { // filled meanwhile, or the room is closed
		r.stream.RepairFailed(in.now)
		return
	}
	in.repairs.running++
	m := wire.History{Room: r.hub.ID, HasAfter: true, After: hole.From - 1, Limit: hole.To - hole.From + 1}
	in.lane(roomShard, r.hub.Shard).submit(&call{
		subject: subject.RoomCommand(r.hub.Shard, subject.OpHist), data: wire.Marshal(&m),
		deadline: in.now.Add(repairTimeout),
		done: func(reply []byte, err error) {
			in.repairs.running--
			r.repaired(reply, err)
		},
	})
}

func (r *room) repaired(reply []byte, err error) {
	var m wire.Messages
	if err := Unpack(reply, err, &m); err != nil {
		r.in.log.Debug("hole not repaired", "event", "relay.repair", "room", r.hub.ID, "err", err)
		r.stream.RepairFailed(r.in.now)
		r.in.withTimer[r] = struct{}{}
		return
	}
	if len(m.Items) > 0 {
		r.in.counts.repaired.Add(1)
	}
	r.stream.Repaired(r.in.now, m.Items, m.Oldest, &r.in.out)
	r.deliverOut()
}
