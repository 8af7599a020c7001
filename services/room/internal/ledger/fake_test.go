package ledger_test

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/bus"
	"github.com/confab-chat/confab/services/room/internal/ledger"
	"github.com/confab-chat/confab/services/room/internal/log"
	"github.com/confab-chat/confab/services/room/internal/stats"
)

// world is a log, the ledgers that write to it, and what is on its way between
// them. Nothing happens until a step is taken, so a test decides the order of
// everything, and what is lost.
type world struct {
	records []log.Stored // of the one room, by position
	pos     uint64       // of the last record of the stream
	steps   []*step      // what can happen next
	now     time.Time
	count   *stats.Counters
	replies map[string][][]byte // published, by subject
	casts   [][]byte            // broadcast
}

// step is an event that can happen now.
type step struct {
	owner int // whose callback it ends in
	// run carries it out; fate is how.
	run  func(fate fate)
	late bool // a timer: it happens only when the test lets time pass
}

// fate is how a step ends.
type fate int

const (
	fine     fate = iota
	lost          // the request, or the answer to a read, does not arrive: a timeout
	lostAck       // an append is stored, but the acknowledgement is lost
	delayed       // an append times out, and is stored later
	refused       // an append is refused as if another were under way (R3)
	lagging       // a read by position is answered by a replica that lacks the last record
	numFates = 6
)

func newWorld() *world {
	return &world{
		now: time.UnixMilli(1_800_000_000_000), count: stats.New(slog.New(slog.DiscardHandler)),
		replies: map[string][][]byte{},
	}
}

// ledger returns a ledger of the room "general" owned by owner.
func (w *world) ledger(owner int) *ledger.Room {
	env := &ledger.Env{
		Log: &fakeLog{w, owner}, Bus: bus.New(fakeBus{w}, slog.New(slog.DiscardHandler)), Epoch: uint64(owner),
		Now: func() time.Time { return w.now },
		After: func(d time.Duration, f func()) {
			at := w.now.Add(d)
			w.add(&step{owner: owner, late: true, run: func(fate) {
				if w.now.Before(at) {
					w.now = at
				}
				f()
			}})
		},
		Logger: slog.New(slog.DiscardHandler), Count: w.count, Moved: func(*ledger.Room) {},
	}
	r := new(ledger.Room)
	r.Init(env, "general", log.RoomOf("general", 1))
	return r
}

func (w *world) add(s *step) { w.steps = append(w.steps, s) }

// take runs step i with a fate.
func (w *world) take(i int, f fate) {
	s := w.steps[i]
	w.steps = slices.Delete(w.steps, i, i+1)
	s.run(f)
}

// settle lets everything happen that can, without faults.
func (w *world) settle() {
	for n := 0; len(w.steps) > 0; n++ {
		if n > 1_000_000 {
			panic("it never ends")
		}
		i := slices.IndexFunc(w.steps, func(s *step) bool { return !s.late })
		w.take(max(i, 0), fine)
	}
}

// kill makes owner forget: nothing that it waits for comes.
func (w *world) kill(owner int) {
	w.steps = slices.DeleteFunc(w.steps, func(s *step) bool { return s.owner == owner })
}

func (w *world) store(data []byte) uint64 {
	w.pos += 3 // other rooms are in the same stream
	w.records = append(w.records, log.Stored{Pos: w.pos, Data: slices.Clone(data)})
	return w.pos
}

func (w *world) last() uint64 {
	if len(w.records) == 0 {
		return 0
	}
	return w.records[len(w.records)-1].Pos
}

type fakeBus struct{ w *world }

func (b fakeBus) Publish(subject string, data []byte) error {
	data = slices.Clone(data)
	if strings.HasPrefix(subject, "chat.v1.bc.") {
		b.w.casts = append(b.w.casts, data)
		return nil
	}
	b.w.replies[subject] = append(b.w.replies[subject], data)
	return nil
}

type fakeLog struct {
	w     *world
	owner int
}

func (l *fakeLog) Append(_ log.Room, expect uint64, record []byte, done func(uint64, error)) {
	w, data := l.w, slices.Clone(record)
	try := func() (uint64, error) {
		if w.last() != expect {
			return 0, log.ErrConflict
		}
		return w.store(data), nil
	}
	w.add(&step{owner: l.owner, run: func(f fate) {
		switch f {
		case lost:
			done(0, log.ErrUncertain)
		case lostAck:
			_, _ = try()
			done(0, log.ErrUncertain)
		case delayed:
			w.add(&step{owner: l.owner, run: func(fate) { _, _ = try() }})
			done(0, log.ErrUncertain)
		case refused:
			done(0, log.ErrConflict)
		default:
			done(try())
		}
	}})
}

// read adds a step that answers with the first record that pick wants.
func (l *fakeLog) read(pick func(log.Stored) bool, backwards, replica bool, done func(log.Stored, error)) {
	l.w.add(&step{owner: l.owner, run: func(f fate) {
		if f == lost || f == lostAck {
			done(log.Stored{}, nats.ErrTimeout)
			return
		}
		records := l.w.records
		if f == lagging && replica && len(records) > 0 {
			records = records[:len(records)-1]
		}
		i := slices.IndexFunc(records, pick)
		if backwards {
			i = len(records) - 1
		}
		if i < 0 {
			done(log.Stored{}, log.ErrNotFound)
			return
		}
		done(records[i], nil)
	}})
}

func (l *fakeLog) Tail(_ log.Room, done func(log.Stored, error)) {
	l.read(func(log.Stored) bool { return true }, true, false, done)
}

func (l *fakeLog) First(_ log.Room, done func(log.Stored, error)) {
	l.read(func(log.Stored) bool { return true }, false, true, done)
}

func (l *fakeLog) Next(_ log.Room, from uint64, done func(log.Stored, error)) {
	l.read(func(s log.Stored) bool { return s.Pos >= from }, false, false, done)
}

func (l *fakeLog) At(_ log.Room, pos uint64, done func(log.Stored, error)) {
	l.read(func(s log.Stored) bool { return s.Pos == pos }, false, true, done)
}

func (l *fakeLog) Range(_ log.Room, from uint64, batch, maxBytes int, each func(log.Stored, error) bool) {
	l.w.add(&step{owner: l.owner, run: func(f fate) {
		if f == lost || f == lostAck {
			each(log.Stored{}, nats.ErrTimeout)
			return
		}
		records := l.w.records
		if f == lagging && len(records) > 0 {
			records = records[:len(records)-1]
		}
		size := 0
		for _, s := range records {
			if s.Pos < from || batch == 0 || size > maxBytes {
				continue
			}
			batch--
			size += len(s.Data)
			if !each(s, nil) {
				return
			}
		}
		each(log.Stored{}, log.ErrEnd)
	}})
}

func (l *fakeLog) Purge(_ log.Room, before uint64, done func(uint64, error)) {
	l.w.add(&step{owner: l.owner, run: func(fate) {
		n := len(l.w.records)
		l.w.records = slices.DeleteFunc(l.w.records, func(s log.Stored) bool { return s.Pos < before })
		done(uint64(n-len(l.w.records)), nil)
	}})
}

// sent decodes the only answer to a message; nil when there is none yet.
func (w *world) sent(reply string) *wire.Sent {
	if len(w.replies[reply]) == 0 {
		return nil
	}
	var s wire.Sent
	if err := wire.Unmarshal(w.replies[reply][0], &s); err != nil {
		panic(err)
	}
	return &s
}
