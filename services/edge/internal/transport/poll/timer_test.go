package poll_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// firing notes when its timer expires.
type firing struct {
	poll.PreciseTimer
	loop  *poll.Loop
	fired *[]time.Duration
}

func (r *firing) Expire() { *r.fired = append(*r.fired, r.Due()) }

// Precise timers expire in the order of their times, none early, none late, whatever was
// moved and stopped in between.
func TestPreciseTimers(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	loop := poll.NewManual(now, time.Second)
	var fired []time.Duration
	var all []*firing
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		r := &firing{loop: loop, fired: &fired}
		r.Owner = r
		all = append(all, r)
		loop.ArmPrecise(&r.PreciseTimer, time.Duration(rnd.Int64N(int64(time.Second))))
	}
	for range 1000 {
		r := all[rnd.IntN(len(all))]
		switch rnd.IntN(3) {
		case 0:
			loop.DisarmPrecise(&r.PreciseTimer)
		default:
			loop.ArmPrecise(&r.PreciseTimer, time.Duration(rnd.Int64N(int64(time.Second))))
		}
	}
	var want []time.Duration
	for _, r := range all {
		if r.Armed() {
			want = append(want, r.Due())
		}
	}
	slices.Sort(want)
	for ms := time.Duration(0); ms <= 1000; ms += 5 {
		loop.Turn(now.Add(ms * time.Millisecond))
		for len(want) > 0 && want[0] <= loop.Uptime() {
			if len(fired) == 0 || fired[0] != want[0] {
				t.Fatalf("at %d ms: fired %v, want %v first", ms, fired, want[0])
			}
			fired, want = fired[1:], want[1:]
		}
		if len(fired) > 0 {
			t.Fatalf("at %d ms: %v fired too early", ms, fired)
		}
	}
	if len(want) > 0 {
		t.Errorf("never fired: %v", want)
	}
}

// One that is armed again while it expires expires again in its time.
func TestPreciseTimerRepeats(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	loop := poll.NewManual(now, time.Second)
	r := &repeater{loop: loop}
	r.Owner = r
	loop.ArmPrecise(&r.PreciseTimer, 1)
	for ms := time.Duration(0); ms < 100; ms++ {
		loop.Turn(now.Add(ms * time.Millisecond))
	}
	if r.n != 10 {
		t.Errorf("expired %d times, want 10", r.n)
	}
}

type repeater struct {
	poll.PreciseTimer
	loop *poll.Loop
	n    int
}

func (r *repeater) Expire() {
	r.n++
	r.loop.ArmPrecise(&r.PreciseTimer, r.loop.Uptime()+10*time.Millisecond)
}
