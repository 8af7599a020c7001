package scenario

import (
	"context"
	"math/bits"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/confab-chat/confab/tools/chatload/internal/crowd"
	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/pacing"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
	"github.com/confab-chat/confab/tools/chatload/internal/stamp"
)

// fanout is rooms in which the first Publishers members publish in turn and all members
// listen. In the closed loop each room has Window messages in flight: a message is in flight until
// all have it. In the open loop messages are due at Rate, round the rooms, and
// latency counts from then.
type fanout struct {
	*stage
	rooms    []fanRoom
	schedule pacing.Schedule // of the open loop
	next     int             // room of the open loop
	from     int64           // messages due from here on are measured
	until    int64
	sent     int64
	shed     int64 // not sent: too many without an answer
	got      int64 // deliveries
	acks     int64
	wrong    int64 // deliveries that were there before, or too early
	lost     int   // members that were thrown out
	stalled  int   // further members that do not read, now
	deliver  *hdrhistogram.Histogram
	ack      *hdrhistogram.Histogram
}

type fanRoom struct {
	name     string
	members  []*crowd.Conn // the first of them publish
	sent     uint32        // messages, numbered from 1
	accepted uint32
	answered uint32
	owed     int64   // deliveries that are still to come
	dues     []int64 // of messages without an answer, by number modulo the length
}

// Fanout runs Rooms x Members, closed loop or at Rate. It uses Publishers, Window,
// Burst, Size, Warm, Duration and Runs.
func Fanout(ctx context.Context, o Options) (results []report.Result, err error) {
	f, err := newFanout(ctx, o)
	if err != nil {
		return nil, err
	}
	defer f.crowd.Close()
	for range max(1, o.Runs) {
		r, err := f.measure(o.Rate)
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

// Sweep runs the open loop at each of Rates, with the same members.
func Sweep(ctx context.Context, o Options) (results []report.Result, err error) {
	f, err := newFanout(ctx, o)
	if err != nil {
		return nil, err
	}
	defer f.crowd.Close()
	for _, rate := range o.Rates {
		for range max(1, o.Runs) {
			r, err := f.measure(rate)
			if err != nil {
				return results, err
			}
			results = append(results, r)
		}
	}
	return results, nil
}

func newFanout(ctx context.Context, o Options) (*fanout, error) {
	s, err := newStage(ctx, o)
	if err != nil {
		return nil, err
	}
	f := &fanout{stage: s, rooms: make([]fanRoom, o.Rooms)}
	ring := 1 << bits.Len(uint(min(max(1<<20/o.Rooms, 63), 4095, max(o.Window, 256))))
	for i := range f.rooms {
		f.rooms[i] = fanRoom{name: s.roomName(i), dues: make([]int64, ring)}
	}
	s.closed, s.message = f.gone, f.receive
	if err := f.fill(); err != nil {
		s.crowd.Close()
		return nil, err
	}
	return f, nil
}

// fill opens and joins all members.
func (f *fanout) fill() error {
	n := f.Rooms * f.Members
	f.joins = true
	f.opened = func(c *crowd.Conn) { f.join(c, f.rooms[c.Room].name, -1) }
	if err := f.open(n, func(i int, c *crowd.Conn) {
		c.Room = int32(i % f.Rooms)
		room := &f.rooms[c.Room]
		room.members = append(room.members, c)
	}); err != nil {
		return err
	}
	return f.allJoined(n)
}

// stalled, as what a member has got, marks one that does not count.
const stalled = ^uint32(0)

// gone is told of every connection that the server has ended.
func (f *fanout) gone(c *crowd.Conn) {
	f.lost++
	if c.Room < 0 || c.Got == stalled {
		return
	}
	room := &f.rooms[c.Room]
	room.owed -= int64(room.sent - c.Got)
	for i, m := range room.members {
		if m == c {
			room.members = append(room.members[:i], room.members[i+1:]...)
			break
		}
	}
}

func (f *fanout) receive(c *crowd.Conn, m dialect.Message, at int64) {
	room := &f.rooms[c.Room]
	switch m.Kind {
	case dialect.Delivery:
		f.delivered(c, room, m.Body, at)
	case dialect.Accepted:
		room.accepted++
		room.answered++
		if due := room.dues[int(m.ID-firstID)%len(room.dues)]; due >= f.from && due < f.until {
			f.acks++
			record(f.ack, at-due)
		}
	case dialect.Refused, dialect.Limited:
		if m.ID >= firstID {
			room.answered++
			room.owed -= int64(len(room.members))
		}
	case dialect.Joined:
		if c.Got == stalled {
			c.Deafen()
		}
	}
}

func (f *fanout) delivered(c *crowd.Conn, room *fanRoom, body []byte, at int64) {
	due, n, ok := stamp.Find(body)
	if !ok || c.Got == stalled {
		return
	}
	if n <= c.Last && f.Publishers == 1 { // several publishers overtake each other
		f.wrong++
		return
	}
	c.Last = n
	c.Got++
	room.owed--
	f.got++
	if due >= f.from && due < f.until {
		record(f.deliver, at-due)
	}
}

// firstID is the id of the first message of a room; 1 was the join.
const firstID = 2

// say publishes in room, unless too many messages of it have no answer yet.
func (f *fanout) say(room *fanRoom, due int64) {
	if len(room.members) == 0 || int(room.sent-room.answered) >= len(room.dues) {
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

// run publishes for d.
func (f *fanout) run(d time.Duration, phase string) error {
	for end := stamp.Now() + int64(d); ; {
		now := stamp.Now()
		if now >= end {
			return nil
		}
		patience := f.publishDue(now)
		f.crowd.Poll(min(patience, time.Duration(end-now)))
		if f.line.due() {
			f.line.show(phase, "%d sent, %d delivered, %d shed, %d lost", f.sent, f.got, f.shed, f.crowd.Stats.Lost)
		}
		if err := f.ctx.Err(); err != nil {
			return err
		}
	}
}

// publishDue publishes what is due, and returns how long nothing will be.
func (f *fanout) publishDue(now int64) time.Duration {
	if f.Rate > 0 {
		for due, ok := f.schedule.Due(now); ok; due, ok = f.schedule.Due(now) {
			f.say(&f.rooms[f.next], due)
			f.next = (f.next + 1) % len(f.rooms)
		}
		return f.schedule.Wait(stamp.Now(), time.Second)
	}
	for i := range f.rooms {
		room := &f.rooms[i]
		for n := int64(len(room.members)); n > 0 && room.owed <= int64(f.Window-1)*n && int(room.sent-room.answered) < len(room.dues); {
			f.say(room, stamp.Now())
		}
	}
	return time.Second
}
