package ledger_test

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logtest"
	"github.com/confab-chat/confab/services/room/internal/shard/ledger"
	"github.com/confab-chat/confab/services/room/internal/shard/rooms/membership"
)

// owner is an owner of a shard with its ledger. What it announces goes to observers.
type owner struct {
	*ledger.Ledger
	world  *logtest.World
	id     int
	held   map[string]bool // users
	loaded bool
	valid  bool // its lease; false: an announcement waits however long it takes
}

// observers are what edges show: they ignore what they have seen.
type observers struct {
	seen  uint64
	shown map[string]bool
	log   []string
}

func (o *observers) hear(t interface{ Fatalf(string, ...any) }, n *wire.News, number uint64) {
	if number <= o.seen {
		return
	}
	o.seen = number
	joined := n.Kind == wire.NewsJoined
	if o.shown[n.User.ID] == joined {
		t.Fatalf("%s: news %d of %s was sent twice", n.User.ID, n.Kind, n.User.ID)
	}
	o.shown[n.User.ID] = joined
	o.log = append(o.log, fmt.Sprint(n.Kind, n.User.ID))
}

func newOwner(t interface{ Fatalf(string, ...any) }, w *logtest.World, id int, o *observers) *owner {
	me := &owner{world: w, id: id, held: make(map[string]bool)}
	me.Ledger = ledger.New(ledger.Config{
		Shard: 3, Epoch: uint64(id), Log: &logtest.Log{World: w, Owner: id},
		Now: func() time.Time { return w.Now }, After: func(d time.Duration, f func()) { w.After(id, d, f) },
		Logger: slog.New(slog.DiscardHandler), Announcing: func() {}, Valid: func() bool { return me.valid },
		State: func(put func(ledger.Holding)) {
			for u := range me.held {
				put(holding(u, false))
			}
		},
	})
	me.Load(ledger.Loader{
		Restore: func(h ledger.Holding) {
			if h.State().Gone {
				delete(me.held, h.User.ID)
			} else {
				me.held[h.User.ID] = true
			}
		},
		Announce: func(n *wire.News) { o.hear(t, n, n.Number) },
		Done:     func() { me.loaded = true },
	})
	return me
}

func holding(user string, gone bool) ledger.Holding {
	return ledger.NewHolding("r", wire.User{ID: user}, membership.State{Edge: membership.Edge{ID: "e", Gen: 1}, Gone: gone}, nil)
}

// change makes a user join or leave, and announces it.
func (me *owner) change(t interface{ Fatalf(string, ...any) }, o *observers, user string, joined bool) *ledger.Entry {
	if me.held[user] == joined {
		return nil
	}
	n := wire.News{Kind: wire.NewsLeft, Room: "r", User: wire.User{ID: user}}
	if delete(me.held, user); joined {
		me.held[user], n.Kind = true, wire.NewsJoined
	}
	h := holding(user, !joined)
	if !joined {
		h.Origin = wire.Origin{}
	}
	me.Store(h)
	return me.Announce(n, 1, func(number uint64) { o.hear(t, &n, number) })
}

// settle runs everything without faults.
func (me *owner) settle() {
	for range 100 {
		me.Flush()
		me.world.RunAll()
	}
}

// A new owner knows what was announced, and numbers go on.
func TestTakeover(t *testing.T) {
	t.Parallel()
	w, o := logtest.New(), &observers{shown: map[string]bool{}}
	one := newOwner(t, w, 1, o)
	one.settle()
	if !one.Fresh() {
		t.Error("an empty ledger is not fresh")
	}
	one.change(t, o, "ann", true)
	one.change(t, o, "bob", true)
	one.change(t, o, "bob", false)
	if len(o.log) > 0 {
		t.Errorf("announced before it is stored: %v", o.log)
	}
	one.settle()
	two := newOwner(t, w, 2, o)
	two.settle()
	if two.Fresh() || !maps.Equal(two.held, map[string]bool{"ann": true}) {
		t.Errorf("fresh %v, holds %v", two.Fresh(), two.held)
	}
	two.change(t, o, "ann", false)
	// The old owner returns: nothing that it says is announced.
	one.change(t, o, "ann", false)
	one.settle()
	two.settle()
	if want := []string{"1ann", "1bob", "2bob", "2ann"}; !slices.Equal(o.log, want) {
		t.Errorf("announced %v, want %v", o.log, want)
	}
	if one.Waiting() {
		t.Error("the old owner keeps what it cannot store")
	}
}

// What is withdrawn in time is not announced.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	w, o := logtest.New(), &observers{shown: map[string]bool{}}
	one := newOwner(t, w, 1, o)
	one.settle()
	e := one.change(t, o, "ann", true)
	if !e.Withdraw() {
		t.Error("too late at once")
	}
	one.settle()
	e = one.change(t, o, "bob", true)
	one.settle()
	if e.Withdraw() || !slices.Equal(o.log, []string{"1bob"}) {
		t.Errorf("announced %v", o.log)
	}
}

// Then waits for what was announced before.
func TestThen(t *testing.T) {
	t.Parallel()
	w, o := logtest.New(), &observers{shown: map[string]bool{}}
	one := newOwner(t, w, 1, o)
	one.settle()
	ran := 0
	one.Then(func() { ran++ })
	if ran != 1 {
		t.Error("nothing waits, and it did not run at once")
	}
	one.change(t, o, "ann", true)
	one.Then(func() {
		if ran++; len(o.log) != 1 {
			t.Error("ran before the announcement")
		}
	})
	if ran != 1 {
		t.Error("ran at once")
	}
	if one.settle(); ran != 2 {
		t.Error("did not run")
	}
}

// An owner whose lease holds announces what it cannot store, after a while.
func TestNothingCanBeStored(t *testing.T) {
	t.Parallel()
	for _, valid := range []bool{false, true} {
		w, o := logtest.New(), &observers{shown: map[string]bool{}}
		one := newOwner(t, w, 1, o)
		one.settle()
		one.valid = valid
		one.change(t, o, "ann", true)
		for end := w.Now.Add(10 * time.Second); w.Now.Before(end); {
			one.Flush()
			w.RunStep(0, logtest.Lost)
		}
		if announced := len(o.log) == 1; announced != valid {
			t.Errorf("lease valid: %v; announced %v", valid, o.log)
		}
		if one.settle(); len(o.log) != 1 {
			t.Errorf("in the end announced %v", o.log)
		}
	}
}

// The records are shortened, and what is held survives that.
func TestLedgerIsShortened(t *testing.T) {
	t.Parallel()
	w, o := logtest.New(), &observers{shown: map[string]bool{}}
	one := newOwner(t, w, 1, o)
	one.settle()
	one.change(t, o, "ann", true)
	for range 3000 {
		one.change(t, o, "bob", true)
		one.change(t, o, "bob", false)
		one.Flush()
		w.RunAll()
	}
	one.settle()
	for room, records := range w.Records {
		if room.Stream == "LEDGER" && len(records) > 1500 {
			t.Errorf("%d records", len(records))
		}
	}
	two := newOwner(t, w, 2, o)
	if two.settle(); !maps.Equal(two.held, map[string]bool{"ann": true}) {
		t.Errorf("holds %v", two.held)
	}
	if _, complete := two.Since(o.seen - 10); !complete {
		t.Error("the last news are not known any more")
	}
}

// After the stream was lost everything is stored again.
func TestStreamIsLost(t *testing.T) {
	t.Parallel()
	w, o := logtest.New(), &observers{shown: map[string]bool{}}
	one := newOwner(t, w, 1, o)
	one.settle()
	one.change(t, o, "ann", true)
	one.settle()
	clear(w.Records)
	one.change(t, o, "bob", true)
	one.settle()
	two := newOwner(t, w, 2, o)
	if two.settle(); !maps.Equal(two.held, map[string]bool{"ann": true, "bob": true}) {
		t.Errorf("holds %v", two.held)
	}
}

// TestAnyFault: whatever is lost, delayed or refused, and however often the owner changes, every
// change is announced once, and the last owner holds what observers are shown.
func TestAnyFault(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w, o := logtest.New(), &observers{shown: map[string]bool{}}
		owners := []*owner{newOwner(t, w, 1, o)}
		current := func() *owner { return owners[len(owners)-1] }
		t.Repeat(map[string]func(*rapid.T){
			"step": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "steps") {
					if len(w.Steps) > 0 {
						fate := rapid.SampledFrom([]logtest.Fate{logtest.Fine, logtest.Fine, logtest.Fine, logtest.Lost, logtest.LostAck, logtest.Delayed, logtest.Refused, logtest.Lagging}).Draw(t, "fate")
						w.RunStep(rapid.IntRange(0, len(w.Steps)-1).Draw(t, "which"), fate)
					}
				}
			},
			"change": func(t *rapid.T) {
				me := rapid.SampledFrom(owners).Draw(t, "owner") // old ones do not know it yet
				if me.loaded {
					me.change(t, o, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "user"), rapid.Bool().Draw(t, "joined"))
				}
			},
			"flush": func(t *rapid.T) {
				for _, me := range owners {
					me.Flush()
				}
			},
			"time":     func(*rapid.T) { w.Now = w.Now.Add(time.Second) },
			"takeover": func(t *rapid.T) { owners = append(owners, newOwner(t, w, current().id+1, o)) },
			"crash": func(t *rapid.T) {
				w.Kill(current().id)
				owners = append(owners[:len(owners)-1], newOwner(t, w, current().id+1, o))
			},
		})
		for _, me := range owners {
			me.settle()
		}
		last := newOwner(t, w, current().id+1, o)
		last.settle()
		shown := make(map[string]bool)
		for u, on := range o.shown {
			if on {
				shown[u] = true
			}
		}
		if !maps.Equal(last.held, shown) {
			t.Fatalf("the last owner holds %v, observers are shown %v", last.held, shown)
		}
	})
}
