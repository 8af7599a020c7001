package stream_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/stream"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// seqs makes the items from to to, whose JSON contains their seq.
func seqs(from, to uint64) []wire.Item {
	var items []wire.Item
	for seq := from; seq <= to; seq++ {
		items = append(items, wire.Item{Seq: seq, JSON: fmt.Appendf(nil, "%d", seq)})
	}
	return items
}

// text is an Out in short: "gap 1-3; 4 5; ask 6-7".
func text(out *stream.Out) string {
	var parts []string
	for _, s := range out.Steps {
		if !s.Gap.None() {
			parts = append(parts, fmt.Sprintf("gap %d-%d", s.Gap.From, s.Gap.To))
		}
		var items []string
		for _, it := range s.Items {
			items = append(items, string(it.JSON))
		}
		if items != nil {
			parts = append(parts, strings.Join(items, " "))
		}
	}
	if !out.Ask.None() {
		parts = append(parts, fmt.Sprintf("ask %d-%d", out.Ask.From, out.Ask.To))
	}
	return strings.Join(parts, "; ")
}

// call is one input and what it must bring out.
type call struct {
	do   func(*stream.Stream, *stream.Out)
	want string
}

func start(ms int, head uint64, want string) call {
	return call{func(s *stream.Stream, out *stream.Out) { s.Start(at(ms), head, out) }, want}
}

func record(ms int, from, to uint64, want string) call {
	return call{func(s *stream.Stream, out *stream.Out) { s.Record(at(ms), seqs(from, to), out) }, want}
}

func head(ms int, seq uint64, want string) call {
	return call{func(s *stream.Stream, out *stream.Out) { s.Head(at(ms), seq, out) }, want}
}

func tick(ms int, want string) call {
	return call{func(s *stream.Stream, out *stream.Out) { s.Tick(at(ms), out) }, want}
}

func failed(ms int) call {
	return call{func(s *stream.Stream, out *stream.Out) { s.RepairFailed(at(ms)); *out = stream.Out{} }, ""}
}

func repaired(ms int, oldest uint64, items []wire.Item, want string) call {
	return call{func(s *stream.Stream, out *stream.Out) { s.Repaired(at(ms), items, oldest, out) }, want}
}

func TestStream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		calls []call
	}{
		{"in order", []call{start(0, 5, ""), record(1, 6, 6, "6"), record(2, 7, 9, "7 8 9")}},
		{"an empty room", []call{start(0, 0, ""), record(1, 1, 1, "1")}},
		{"records before the position is known", []call{
			record(0, 5, 5, ""), record(0, 6, 7, ""), record(0, 8, 8, ""), start(1, 6, "7; 8"), record(2, 9, 9, "9"),
		}},
		{"a hole before the position is known is asked for at the start", []call{
			record(0, 8, 8, ""), start(1, 6, "ask 7-7"),
		}},
		{"duplicates and old records", []call{
			start(0, 5, ""), record(1, 6, 7, "6 7"), record(2, 6, 7, ""), record(3, 1, 3, ""), record(4, 7, 8, "8"),
		}},
		{"malformed records are ignored", []call{
			start(0, 0, ""), record(1, 2, 1, ""), record(1, 0, 1, ""),
			{func(s *stream.Stream, out *stream.Out) {
				s.Record(at(1), append(seqs(1, 2), seqs(4, 5)...), out)
			}, ""},
			record(2, 1, 1, "1"),
		}},
		{"a hole is asked for once", []call{
			start(0, 0, ""), record(1, 1, 1, "1"), record(2, 4, 4, "ask 2-3"), record(3, 6, 6, ""),
			repaired(4, 1, seqs(2, 3), "2 3; 4; ask 5-5"), repaired(5, 1, seqs(5, 6), "5 6"), record(6, 7, 7, "7"),
		}},
		{"a hole that closes by itself", []call{
			start(0, 0, ""), record(1, 3, 3, "ask 1-2"), record(2, 1, 2, "1 2; 3"), record(3, 4, 4, "4"),
			repaired(4, 1, seqs(1, 2), ""), record(5, 6, 6, "ask 5-5"),
		}},
		{"a long hole is asked for in pages", []call{
			start(0, 0, ""), record(1, 451, 451, "ask 1-200"),
			repaired(2, 1, seqs(1, 3), "1 2 3; ask 4-203"),
		}},
		{"an answer may overlap what waits", []call{
			start(0, 0, ""), record(1, 3, 4, "ask 1-2"), record(1, 5, 6, ""), repaired(2, 1, seqs(1, 5), "1 2 3 4 5; 6"),
		}},
		{"retention took the beginning of a hole", []call{
			start(0, 0, ""), record(1, 9, 9, "ask 1-8"), repaired(2, 6, seqs(6, 8), "gap 1-5; 6 7 8; 9"),
		}},
		{"retention took all of a hole", []call{
			start(0, 0, ""), record(1, 9, 9, "ask 1-8"), repaired(2, 9, nil, "gap 1-8; 9"), record(3, 10, 10, "10"),
		}},
		{"retention took a hole and what waits behind it", []call{
			start(0, 0, ""), record(1, 3, 4, "ask 1-2"), record(1, 7, 7, ""), repaired(2, 9, seqs(9, 9), "gap 1-2; 3 4; gap 5-6; 7; gap 8-8; 9"),
		}},
		{"holes inside an answer", []call{
			start(0, 0, ""), record(1, 9, 9, "ask 1-8"),
			repaired(2, 1, append(seqs(2, 3), seqs(6, 8)...), "gap 1-1; 2 3; gap 4-5; 6 7 8; 9"),
		}},
		{"a lost tail, found by a head", []call{
			start(0, 5, ""), head(0, 7, ""), tick(199, ""), tick(200, "ask 6-7"), repaired(201, 1, seqs(6, 7), "6 7"), head(300, 7, ""),
		}},
		{"a head that was early", []call{
			start(0, 5, ""), head(0, 7, ""), record(1, 6, 7, "6 7"), tick(500, ""),
		}},
		{"a head, then a record that proves the loss", []call{
			start(0, 5, ""), head(0, 7, ""), record(1, 8, 8, "ask 6-7"),
		}},
		{"a second join is a head", []call{
			start(0, 5, ""), start(1, 8, ""), tick(201, "ask 6-8"),
		}},
		{"an old head", []call{start(0, 5, ""), head(1, 3, ""), tick(999, ""), record(1000, 7, 7, "ask 6-6")}},
		{"failed repairs are asked again, later and later", []call{
			start(0, 0, ""), record(0, 2, 2, "ask 1-1"),
			failed(0), tick(99, ""), record(99, 3, 3, ""), tick(100, "ask 1-1"),
			failed(1000), tick(1199, ""), tick(1200, "ask 1-1"),
			failed(2000), tick(2399, ""), tick(2400, "ask 1-1"),
			repaired(2401, 1, seqs(1, 1), "1; 2; 3"),
			record(2402, 5, 5, "ask 4-4"),
		}},
		{"an answer that brings nothing has failed", []call{
			start(0, 0, ""), record(0, 3, 3, "ask 1-2"), repaired(0, 0, nil, ""), tick(99, ""), tick(100, "ask 1-2"),
			repaired(101, 1, seqs(1, 1), "1; ask 2-2"), repaired(102, 1, nil, ""), tick(201, ""), tick(202, "ask 2-2"),
		}},
		{"answers to nothing", []call{
			start(0, 0, ""), repaired(1, 9, seqs(1, 2), ""), failed(1), record(2, 2, 2, "ask 1-1"),
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s stream.Stream
			var out stream.Out
			for i, c := range tt.calls {
				if c.do(&s, &out); text(&out) != c.want {
					t.Fatalf("call %d: %q, want %q", i, text(&out), c.want)
				}
			}
		})
	}
}

func TestNextTellsWhenToTick(t *testing.T) {
	t.Parallel()
	var s stream.Stream
	var out stream.Out
	next := func(want time.Time) {
		t.Helper()
		got, ok := s.Next()
		if ok == want.IsZero() || !got.Equal(want) {
			t.Fatalf("Next() = %v, %v; want %v", got, ok, want)
		}
	}
	next(time.Time{})
	s.Start(at(0), 5, &out)
	next(time.Time{})
	s.Head(at(0), 6, &out)
	next(at(200))
	s.Tick(at(200), &out)
	next(time.Time{}) // a repair is under way
	for i, wait := range []int{100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000, 5000, 5000} {
		s.RepairFailed(at(0))
		next(at(wait))
		if s.Tick(at(wait), &out); out.Ask != (stream.Range{From: 6, To: 6}) {
			t.Fatalf("try %d asked for %v", i, out.Ask)
		}
	}
	s.RepairFailed(at(0))
	s.Record(at(1), seqs(6, 6), &out)
	next(time.Time{}) // nothing is missing any more
	if !s.Missing().None() || s.Delivered() != 6 {
		t.Fatalf("missing %v, delivered %d", s.Missing(), s.Delivered())
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		json int
		kept int
	}{
		{"in records", 1, stream.MaxRecords},
		{"in bytes", 16 << 10, stream.MaxBytes / (16<<10 + 32)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s stream.Stream
			var out stream.Out
			s.Start(at(0), 0, &out)
			body := make([]byte, tt.json)
			order := make([]uint64, 0, 1000)
			for seq := uint64(2); seq <= 1000; seq++ {
				order = append(order, seq)
			}
			slices.Reverse(order) // the latest come first and have to give way
			for _, seq := range order {
				s.Record(at(0), []wire.Item{{Seq: seq, JSON: body}}, &out)
			}
			s.Record(at(0), []wire.Item{{Seq: 1, JSON: body}}, &out)
			if got := s.Delivered(); got != uint64(tt.kept)+1 {
				t.Fatalf("delivered %d, want the first and the %d kept", got, tt.kept)
			}
			if got, want := s.Missing(), (stream.Range{From: s.Delivered() + 1, To: min(1000, s.Delivered()+stream.AskLimit)}); got != want {
				t.Fatalf("missing %v, want %v", got, want)
			}
		})
	}
}

func TestRecordsThatWaitAreCopied(t *testing.T) {
	t.Parallel()
	var s stream.Stream
	var out stream.Out
	s.Start(at(0), 0, &out)
	scratch := seqs(2, 3)
	s.Record(at(0), scratch, &out)
	copy(scratch, seqs(8, 9)) // the caller decodes the next record into it
	s.Record(at(0), seqs(1, 1), &out)
	if got := text(&out); got != "1; 2 3" {
		t.Fatalf("delivered %q", got)
	}
}

func BenchmarkRecordInOrder(b *testing.B) {
	b.ReportAllocs()
	var s stream.Stream
	var out stream.Out
	s.Start(epoch, 0, &out)
	items := seqs(1, 4)
	for seq := uint64(1); b.Loop(); seq += 4 {
		for i := range items {
			items[i].Seq = seq + uint64(i)
		}
		if s.Record(epoch, items, &out); len(out.Steps) != 1 {
			b.Fatal("not delivered")
		}
	}
}

func BenchmarkHoleRepaired(b *testing.B) {
	b.ReportAllocs()
	var s stream.Stream
	var out stream.Out
	s.Start(epoch, 0, &out)
	items := seqs(1, 4)
	for seq := uint64(1); b.Loop(); seq += 4 {
		for i := range items {
			items[i].Seq = seq + uint64(i)
		}
		s.Record(epoch, items[3:], &out)
		if s.Repaired(epoch, items[:3], 1, &out); s.Delivered() != seq+3 {
			b.Fatal("not delivered")
		}
	}
}
