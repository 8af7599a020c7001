package history_test

import (
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log"
)

// roomLog is a log in memory that counts what is asked of it.
type roomLog struct {
	records     []log.Stored
	marks       history.Marks // at the head
	head        uint64
	ats, ranges int
	malformed   int
	err         error // of every answer, if set
}

// Malformed implements history.Log.
func (l *roomLog) Malformed(uint64) { l.malformed++ }

// store appends a record of n messages; records are 3 positions apart.
func (l *roomLog) store(n int) {
	rec := &wire.Record{First: l.head + 1, Mark64: l.marks.Near, Mark1024: l.marks.Far, Room: "r"}
	for range n {
		l.head++
		rec.Entries = append(rec.Entries, wire.Entry{JSON: []byte("x")})
	}
	s := log.Stored{Pos: 3 * uint64(len(l.records)+1), Data: wire.Marshal(rec)}
	l.marks = l.marks.Advance(rec, s.Pos)
	l.records = append(l.records, s)
}

// filled returns a log of n messages in records of each.
func filled(n, each int) *roomLog {
	l := new(roomLog)
	for l.head < uint64(n) {
		l.store(min(each, n-int(l.head)))
	}
	return l
}

func (l *roomLog) At(pos uint64) (log.Stored, error) {
	l.ats++
	i := slices.IndexFunc(l.records, func(s log.Stored) bool { return s.Pos == pos })
	switch {
	case l.err != nil:
		return log.Stored{}, l.err
	case i < 0:
		return log.Stored{}, log.ErrNotFound
	}
	return l.records[i], nil
}

func (l *roomLog) Range(from uint64, batch, _ int) iter.Seq2[log.Stored, error] {
	l.ranges++
	return func(yield func(log.Stored, error) bool) {
		for _, s := range l.records {
			if s.Pos < from || batch == 0 || l.err != nil {
				continue
			}
			batch--
			if !yield(s, nil) {
				return
			}
		}
		if l.err != nil {
			yield(log.Stored{}, l.err)
			return
		}
		yield(log.Stored{}, log.ErrEnd)
	}
}

var errDown = errors.New("down")

// Every message is found from any log, near its position.
func TestFind(t *testing.T) {
	t.Parallel()
	for _, each := range []int{1, 3, 64} {
		l := filled(3000, each)
		for n := uint64(1); n <= l.head; n += 5 {
			l.ats = 0
			p, err := history.Find(l, l.head, l.marks, n)
			if err != nil {
				t.Fatal(err)
			}
			first := firstFrom(t, l, p.Pos)
			if first > n || n-first > 64+64 || p.Seq > n || p.Seq < first {
				t.Fatalf("records of %d: message %d is searched from message %d, position %+v", each, n, first, p)
			}
			if most := 3000/1024 + 1024/64 + 1; l.ats > most {
				t.Fatalf("records of %d: message %d took %d reads", each, n, l.ats)
			}
		}
	}
}

// firstFrom returns the first message at or after pos.
func firstFrom(t *testing.T, l *roomLog, pos uint64) uint64 {
	t.Helper()
	for _, s := range l.records {
		if s.Pos >= pos {
			var rec wire.Record
			if err := wire.Unmarshal(s.Data, &rec); err != nil {
				t.Fatal(err)
			}
			return rec.First
		}
	}
	t.Fatalf("no record from %d on", pos)
	return 0
}

func TestFindInADamagedLog(t *testing.T) {
	t.Parallel()
	beginning := history.Position{Pos: 1, Seq: 100}
	for name, c := range map[string]struct {
		damage func(l *roomLog)
		want   history.Position
		err    error
	}{
		"retention has removed the mark": {
			damage: func(l *roomLog) { l.records = l.records[1500:] }, want: beginning,
		},
		"another record has the position": {
			damage: func(l *roomLog) {
				for i := range l.records {
					l.records[i].Data = l.records[0].Data
				}
			},
			want: beginning,
		},
		"the log is down": {damage: func(l *roomLog) { l.err = errDown }, err: errDown},
		"a record is malformed": {
			damage: func(l *roomLog) {
				for i := range l.records {
					l.records[i].Data = []byte{255}
				}
			},
			want: history.Position{Pos: 1, Seq: 100},
		},
	} {
		l := filled(2000, 1)
		c.damage(l)
		got, err := history.Find(l, l.head, l.marks, 100)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		n, each int
		span    history.Span
		damage  func(l *roomLog)
		want    history.Span
		ranges  int // batch reads

		malformed int
		err       error
	}{
		"one":          {n: 100, each: 1, span: history.Span{From: 70, To: 70}, want: history.Span{From: 70, To: 70}, ranges: 1},
		"within one":   {n: 100, each: 64, span: history.Span{From: 10, To: 20}, want: history.Span{From: 10, To: 20}, ranges: 1},
		"over records": {n: 100, each: 7, span: history.Span{From: 10, To: 90}, want: history.Span{From: 10, To: 90}, ranges: 1},
		"over batches": {n: 1500, each: 1, span: history.Span{From: 1, To: 1500}, want: history.Span{From: 1, To: 1500}, ranges: 3},
		"beginning removed": {
			n: 100, each: 1, span: history.Span{From: 10, To: 90},
			damage: func(l *roomLog) { l.records = l.records[50:] }, want: history.Span{From: 51, To: 90}, ranges: 1,
		},
		"replica without the end": {
			n: 100, each: 1, span: history.Span{From: 90, To: 100},
			damage: func(l *roomLog) { l.records = l.records[:95] }, want: history.Span{From: 90, To: 95}, ranges: 2, err: history.ErrShort,
		},
		"empty replica": {
			n: 10, each: 1, span: history.Span{From: 1, To: 10},
			damage: func(l *roomLog) { l.records = nil }, want: history.Span{From: 1}, ranges: 1, err: history.ErrShort,
		},
		"the log is down": {
			n: 10, each: 1, span: history.Span{From: 1, To: 10},
			damage: func(l *roomLog) { l.err = errDown }, want: history.Span{From: 1}, ranges: 1, err: errDown,
		},
		"record without messages": {
			n: 10, each: 1, span: history.Span{From: 1, To: 10},
			damage: func(l *roomLog) { l.records[0].Data = wire.Marshal(&wire.Record{First: 1}) },
			want:   history.Span{From: 2, To: 10}, ranges: 1, malformed: 1,
		},
		"no record": {
			n: 10, each: 1, span: history.Span{From: 1, To: 10},
			damage: func(l *roomLog) { l.records[0].Data, l.records[1].Data = nil, []byte("\xff") },
			want:   history.Span{From: 3, To: 10}, ranges: 1, malformed: 2,
		},
	} {
		l := filled(c.n, c.each)
		if c.damage != nil {
			c.damage(l)
		}
		got, err := history.Read(l, l.head, l.marks, c.span)
		if !slices.Equal(seqs(got), seqs(items(c.want.From, c.want.To))) || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", name, seqs(got), err)
		}
		if l.ranges != c.ranges || l.malformed != c.malformed {
			t.Errorf("%s: %d batch reads, %d malformed, want %d, %d", name, l.ranges, l.malformed, c.ranges, c.malformed)
		}
	}
}
