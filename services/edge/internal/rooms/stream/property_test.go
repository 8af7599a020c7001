package stream_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/rooms/stream"
)

// world is a room's log, a network that loses, repeats and reorders, and the
// edge's stream, of which everything that comes out is checked at once.
type world struct {
	t   *rapid.T
	s   stream.Stream
	out stream.Out
	now time.Time

	head, oldest uint64 // of the log
	flying       [][]wire.Item
	asked        stream.Range // not answered yet

	started bool
	next    uint64 // the seq that must come out next
}

// check takes what the last call brought out.
func (w *world) check() {
	for _, step := range w.out.Steps {
		if !step.Gap.None() {
			if step.Gap.From != w.next || step.Gap.To < step.Gap.From {
				w.t.Fatalf("gap %v, want one from %d", step.Gap, w.next)
			}
			if step.Gap.To >= w.oldest {
				w.t.Fatalf("gap %v, but the log begins at %d", step.Gap, w.oldest)
			}
			w.next = step.Gap.To + 1
		}
		if step.Gap.None() && len(step.Items) == 0 {
			w.t.Fatal("an empty step")
		}
		for _, it := range step.Items {
			if it.Seq != w.next || string(it.JSON) != string(seqs(w.next, w.next)[0].JSON) {
				w.t.Fatalf("delivered %d %q, want %d", it.Seq, it.JSON, w.next)
			}
			w.next++
		}
	}
	if len(w.out.Steps) > 0 && !w.started {
		w.t.Fatal("delivered before the start")
	}
	if w.started && w.s.Delivered() != w.next-1 {
		w.t.Fatalf("Delivered() = %d, want %d", w.s.Delivered(), w.next-1)
	}
	if ask := w.out.Ask; !ask.None() {
		if !w.asked.None() {
			w.t.Fatalf("asked for %v while %v is not answered", ask, w.asked)
		}
		if ask.From != w.next || ask.To < ask.From || ask.To > w.head || ask.To-ask.From >= stream.AskLimit {
			w.t.Fatalf("asked for %v at %d of %d", ask, w.next, w.head)
		}
		w.asked = ask
	}
	if at, ok := w.s.Next(); ok && (!w.asked.None() || at.Sub(w.now) > 5*time.Second) {
		w.t.Fatalf("next %v at %v", at, w.now)
	}
	w.out = stream.Out{}
}

func (w *world) append(n uint64) {
	w.flying = append(w.flying, seqs(w.head+1, w.head+n))
	w.head += n
	if w.oldest == 0 {
		w.oldest = 1
	}
}

// answer answers the repair with what a log that knows seqs up to head would say.
func (w *world) answer(head uint64, atMost int) {
	from := max(w.asked.From, w.oldest)
	items := seqs(from, min(head, from+uint64(atMost)-1, from+stream.AskLimit-1))
	w.asked = stream.Range{}
	w.s.Repaired(w.now, items, min(w.oldest, head), &w.out)
}

func (w *world) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"": func(*rapid.T) { w.check() },
		"append": func(t *rapid.T) {
			w.append(rapid.Uint64Range(1, 8).Draw(t, "n"))
		},
		"burst": func(t *rapid.T) {
			for range rapid.IntRange(1, 100).Draw(t, "n") {
				w.append(3)
			}
		},
		"deliver": func(t *rapid.T) {
			if len(w.flying) == 0 {
				t.Skip("nothing flies")
			}
			i := rapid.IntRange(0, len(w.flying)-1).Draw(t, "i")
			w.s.Record(w.now, w.flying[i], &w.out)
			if !rapid.Bool().Draw(t, "again") {
				w.flying = slices.Delete(w.flying, i, i+1)
			}
		},
		"deliver all": func(t *rapid.T) {
			for _, items := range w.flying {
				w.s.Record(w.now, items, &w.out)
				w.check()
			}
			w.flying = nil
		},
		"lose": func(t *rapid.T) {
			if len(w.flying) == 0 {
				t.Skip("nothing flies")
			}
			n := rapid.IntRange(1, len(w.flying)).Draw(t, "n")
			w.flying = w.flying[n:]
		},
		"retain": func(t *rapid.T) {
			if w.head < 2 {
				t.Skip("the last record stays")
			}
			w.oldest = rapid.Uint64Range(w.oldest, w.head).Draw(t, "oldest")
		},
		"head": func(t *rapid.T) {
			w.s.Head(w.now, rapid.Uint64Range(0, w.head).Draw(t, "seq"), &w.out)
		},
		"start": func(t *rapid.T) {
			if !w.started {
				w.started, w.next = true, w.head+1
			}
			w.s.Start(w.now, w.head, &w.out)
		},
		"answer": func(t *rapid.T) {
			if w.asked.None() {
				t.Skip("nothing is asked")
			}
			w.answer(rapid.Uint64Range(w.oldest, w.head).Draw(t, "known"), rapid.IntRange(1, 200).Draw(t, "items"))
		},
		"fail": func(t *rapid.T) {
			if w.asked.None() {
				t.Skip("nothing is asked")
			}
			w.asked = stream.Range{}
			w.s.RepairFailed(w.now)
		},
		"time": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 2000).Draw(t, "ms")) * time.Millisecond)
			w.s.Tick(w.now, &w.out)
		},
	}
}

// settle lets the network heal: a head arrives, repairs are answered.
func (w *world) settle() {
	if !w.started {
		w.started, w.next = true, w.head+1
	}
	w.s.Start(w.now, w.head, &w.out)
	w.check()
	for range 2 * (w.head + 1) {
		if !w.asked.None() {
			w.answer(w.head, 200)
		} else if at, ok := w.s.Next(); ok {
			w.now = at
			w.s.Tick(at, &w.out)
		} else {
			break
		}
		w.check()
	}
	if w.next != w.head+1 {
		w.t.Fatalf("settled at %d of %d", w.next-1, w.head)
	}
}

// TestEveryMessageOnce: whatever the network does, what comes out are the seqs
// after the start in order, each once, but for announced gaps; and once repairs
// are answered, all of them.
func TestEveryMessageOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, now: epoch}
		t.Repeat(w.actions())
		w.settle()
	})
}
