//go:build linux

package scenario

import (
	"context"
	"math/bits"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/confab-chat/confab/tools/bench/internal/clients"
	"github.com/confab-chat/confab/tools/bench/internal/dialect"
	"github.com/confab-chat/confab/tools/bench/internal/report"
	"github.com/confab-chat/confab/tools/bench/internal/stamp"
)

const (
	// stalled, as Conn.Got, marks a member that never reads and is not counted.
	stalled = ^uint32(0)
	// never is a time that no message is due at.
	never = int64(1 << 62)
)

// fanout is rooms in which the first Publishers members publish in turn and all members
// listen. In the closed loop each room has Window messages in flight; a message is in
// flight until all members have it. In the open loop messages are due at Rate, one room
// after the other, and latency counts from then.
type fanout struct {
	*load
	rooms        []fanoutRoom
	schedule     schedule // of the open loop
	next         int      // room of the open loop
	from, until  int64    // messages due between them are measured
	sent         int64
	shed         int64 // not sent, because too many had no reply
	got          int64 // deliveries
	acks         int64
	outOfOrder   int64 // deliveries that came before, or too late
	disconnected int   // members that the server disconnected
	stalled      int   // stalled members at the moment
	deliver, ack *hdrhistogram.Histogram
}

type fanoutRoom struct {
	name     string
	members  []*clients.Conn // the first of them publish
	sent     uint32          // messages, numbered from 1
	accepted uint32
	answered uint32
	owed     int64   // deliveries that have not come yet
	dues     []int64 // of messages without a reply, by number modulo the length
}

// Fanout runs Rooms x Members, closed loop or at Rate. It uses Publishers, Window, Burst,
// Size, Warm, Duration and Runs.
func Fanout(ctx context.Context, o Options) (results []report.Result, err error) {
	f, err := newFanout(ctx, o)
	if err != nil {
		return nil, err
	}
	defer f.loop.Close()
	for range o.Runs {
		r, err := f.measure()
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

// newFanout opens and joins all members.
func newFanout(ctx context.Context, o Options) (*fanout, error) {
	l, err := newLoad(ctx, o)
	if err != nil {
		return nil, err
	}
	f := &fanout{load: l, rooms: make([]fanoutRoom, o.Rooms)}
	withoutReply := 1 << bits.Len(uint(min(max(1<<20/o.Rooms, 63), 4095, max(o.Window, 256))))
	for i := range f.rooms {
		f.rooms[i] = fanoutRoom{name: l.roomName(i), dues: make([]int64, withoutReply)}
	}
	f.joinOnOpen, f.onMessage, f.onClose = true, f.receive, f.forgetMember
	f.onOpen = func(c *clients.Conn) { f.join(c, f.rooms[c.Room].name, -1) }
	err = f.openAll(o.Rooms*o.Members, func(i int, c *clients.Conn) {
		c.Room = int32(i % o.Rooms)
		room := &f.rooms[c.Room]
		room.members = append(room.members, c)
	})
	if err == nil {
		err = f.awaitJoins(o.Rooms * o.Members)
	}
	if err != nil {
		l.loop.Close()
		return nil, err
	}
	return f, nil
}

// forgetMember takes a member that the server disconnected out of its room.
func (f *fanout) forgetMember(c *clients.Conn) {
	f.disconnected++
	if c.Room < 0 || c.Got == stalled {
		return
	}
	room := &f.rooms[c.Room]
	room.owed -= int64(room.sent - c.Got)
	if i := slices.Index(room.members, c); i >= 0 {
		room.members = slices.Delete(room.members, i, i+1)
	}
}

func (f *fanout) receive(c *clients.Conn, m dialect.Message, at int64) {
	room := &f.rooms[c.Room]
	switch m.Kind {
	case dialect.Delivery:
		f.countDelivery(c, room, m.Body, at)
	case dialect.Accepted:
		room.accepted++
		room.answered++
		if due := room.dues[int(m.ID-firstID)%len(room.dues)]; due >= f.from && due < f.until {
			f.acks++
			recordLatency(f.ack, at-due)
		}
	case dialect.Refused:
		if m.ID >= firstID {
			room.answered++
			room.owed -= int64(len(room.members))
		}
	case dialect.Joined:
		if c.Got == stalled {
			c.StopReading()
		}
	}
}

func (f *fanout) countDelivery(c *clients.Conn, room *fanoutRoom, body []byte, at int64) {
	due, n, ok := stamp.Find(body)
	if !ok || c.Got == stalled {
		return
	}
	if n <= c.Last && f.Publishers == 1 { // messages of several publishers overtake each other
		f.outOfOrder++
		return
	}
	c.Last = n
	c.Got++
	room.owed--
	f.got++
	if due >= f.from && due < f.until {
		recordLatency(f.deliver, at-due)
	}
}

// publishIn publishes in room, unless too many of its messages have no reply yet.
func (f *fanout) publishIn(room *fanoutRoom, due int64) {
	if len(room.members) == 0 || !room.mayPublish() {
		f.shed++
		return
	}
	room.dues[int(room.sent)%len(room.dues)] = due
	room.sent++
	room.owed += int64(len(room.members))
	f.sent++
	publisher := room.members[int(room.sent)%min(f.Publishers, len(room.members))]
	f.publish(publisher, uint64(room.sent-1)+firstID, room.name, due, room.sent)
}

// mayPublish reports whether dues has a place for one more message.
func (r *fanoutRoom) mayPublish() bool { return int(r.sent-r.answered) < len(r.dues) }

// run publishes for d.
func (f *fanout) run(d time.Duration, phase string) error {
	for end := stamp.Now() + int64(d); ; {
		now := stamp.Now()
		if now >= end {
			return nil
		}
		wait := f.publishDue(now)
		f.loop.Poll(min(wait, time.Duration(end-now)))
		if f.progressDue() { // the arguments allocate
			f.showProgress(phase, "%d sent, %d delivered, %d shed, %d lost", f.sent, f.got, f.shed, f.loop.Stats.Lost)
		}
		if err := f.ctx.Err(); err != nil {
			return err
		}
	}
}

// publishDue publishes what is due, and returns how long nothing will be.
func (f *fanout) publishDue(now int64) time.Duration {
	if f.Rate > 0 {
		for due, ok := f.schedule.advance(now); ok; due, ok = f.schedule.advance(now) {
			f.publishIn(&f.rooms[f.next], due)
			f.next = (f.next + 1) % len(f.rooms)
		}
		return f.schedule.untilNext(stamp.Now(), time.Second)
	}
	for i := range f.rooms {
		room := &f.rooms[i]
		for n := int64(len(room.members)); n > 0 && room.owed <= int64(f.Window-1)*n && room.mayPublish(); {
			f.publishIn(room, stamp.Now())
		}
	}
	return time.Second
}
