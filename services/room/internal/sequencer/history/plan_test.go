package history_test

import (
	"slices"
	"testing"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/history"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		q            wire.History
		head, oldest uint64
		want         history.Span
	}{
		"empty room":                 {q: wire.History{Limit: 10}, want: history.Span{From: 1}},
		"latest":                     {q: wire.History{Limit: 10}, head: 100, oldest: 1, want: history.Span{From: 91, To: 100}},
		"latest of a short room":     {q: wire.History{Limit: 10}, head: 3, oldest: 1, want: history.Span{From: 1, To: 3}},
		"no limit is a limit of 1":   {head: 100, oldest: 1, want: history.Span{From: 100, To: 100}},
		"limit is bounded":           {q: wire.History{Limit: 5000}, head: 1000, oldest: 1, want: history.Span{From: 801, To: 1000}},
		"before":                     {q: wire.History{Before: 50, Limit: 10}, head: 100, oldest: 1, want: history.Span{From: 40, To: 49}},
		"before the future":          {q: wire.History{Before: 500, Limit: 10}, head: 100, oldest: 1, want: history.Span{From: 91, To: 100}},
		"before the first":           {q: wire.History{Before: 1, Limit: 10}, head: 100, oldest: 1, want: history.Span{From: 1}},
		"before stops at oldest":     {q: wire.History{Before: 50, Limit: 10}, head: 100, oldest: 45, want: history.Span{From: 45, To: 49}},
		"before the oldest":          {q: wire.History{Before: 40, Limit: 10}, head: 100, oldest: 45, want: history.Span{From: 1}},
		"after":                      {q: wire.History{HasAfter: true, After: 50, Limit: 10}, head: 100, oldest: 1, want: history.Span{From: 51, To: 60}},
		"after 0":                    {q: wire.History{HasAfter: true, Limit: 10}, head: 100, oldest: 1, want: history.Span{From: 1, To: 10}},
		"after stops at the head":    {q: wire.History{HasAfter: true, After: 95, Limit: 10}, head: 100, oldest: 1, want: history.Span{From: 96, To: 100}},
		"after the head":             {q: wire.History{HasAfter: true, After: 100, Limit: 10}, head: 100, oldest: 1, want: history.Span{From: 1}},
		"after starts at the oldest": {q: wire.History{HasAfter: true, After: 5, Limit: 10}, head: 100, oldest: 45, want: history.Span{From: 45, To: 54}},
	} {
		got := history.Plan(&c.q, c.head, c.oldest)
		if got != c.want && !(got.Empty() && c.want.Empty()) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestMore(t *testing.T) {
	t.Parallel()
	after := wire.History{HasAfter: true}
	for name, c := range map[string]struct {
		q            wire.History
		items        []wire.Item
		head, oldest uint64
		want         bool
	}{
		"no items":              {head: 9, oldest: 1},
		"up to the oldest":      {items: items(3, 9), head: 9, oldest: 3},
		"older ones exist":      {items: items(4, 9), head: 9, oldest: 3, want: true},
		"after: up to the head": {q: after, items: items(4, 9), head: 9, oldest: 3},
		"after: newer exist":    {q: after, items: items(4, 8), head: 9, oldest: 3, want: true},
	} {
		if got := history.More(&c.q, c.items, c.head, c.oldest); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		q        wire.History
		maxBytes int
		want     []wire.Item
	}{
		"all fit":                  {maxBytes: 50, want: items(1, 5)},
		"the newest stay":          {maxBytes: 30, want: items(3, 5)},
		"part of one does not fit": {maxBytes: 39, want: items(3, 5)},
		"one always stays":         {maxBytes: 1, want: items(5, 5)},
		"after: the oldest stay":   {q: wire.History{HasAfter: true}, maxBytes: 30, want: items(1, 3)},
		"after: one always stays":  {q: wire.History{HasAfter: true}, maxBytes: 0, want: items(1, 1)},
		"after: all fit":           {q: wire.History{HasAfter: true}, maxBytes: 50, want: items(1, 5)},
	} {
		if got := history.Fit(&c.q, items(1, 5), c.maxBytes); !slices.Equal(seqs(got), seqs(c.want)) {
			t.Errorf("%s: %v, want %v", name, seqs(got), seqs(c.want))
		}
	}
}

// items returns the messages from to to, of 10 bytes each.
func items(from, to uint64) (all []wire.Item) {
	for seq := from; seq <= to; seq++ {
		all = append(all, wire.Item{Seq: seq, JSON: []byte("0123456789")})
	}
	return all
}

func seqs(items []wire.Item) (all []uint64) {
	for _, it := range items {
		all = append(all, it.Seq)
	}
	return all
}
