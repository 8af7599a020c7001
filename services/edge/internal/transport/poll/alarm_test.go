package poll_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// ringer notes when its alarm expires.
type ringer struct {
	poll.Alarm
	loop *poll.Loop
	rang *[]poll.Moment
}

func (r *ringer) Expire() { *r.rang = append(*r.rang, r.At()) }

// Alarms expire in the order of their times, none early, none late, whatever was
// moved and stopped in between.
func TestAlarms(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	loop := poll.NewManual(now, time.Second)
	var rang []poll.Moment
	var all []*ringer
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		r := &ringer{loop: loop, rang: &rang}
		r.Owner = r
		all = append(all, r)
		loop.ArmAt(&r.Alarm, poll.Moment(rnd.Int64N(int64(time.Second))))
	}
	for range 1000 {
		r := all[rnd.IntN(len(all))]
		switch rnd.IntN(3) {
		case 0:
			loop.DisarmAt(&r.Alarm)
		default:
			loop.ArmAt(&r.Alarm, poll.Moment(rnd.Int64N(int64(time.Second))))
		}
	}
	var want []poll.Moment
	for _, r := range all {
		if r.Armed() {
			want = append(want, r.At())
		}
	}
	slices.Sort(want)
	for ms := time.Duration(0); ms <= 1000; ms += 5 {
		loop.Turn(now.Add(ms * time.Millisecond))
		for len(want) > 0 && want[0] <= loop.Moment() {
			if len(rang) == 0 || rang[0] != want[0] {
				t.Fatalf("at %d ms: rang %v, want %v first", ms, rang, want[0])
			}
			rang, want = rang[1:], want[1:]
		}
		if len(rang) > 0 {
			t.Fatalf("at %d ms: %v rang too early", ms, rang)
		}
	}
	if len(want) > 0 {
		t.Errorf("never rang: %v", want)
	}
}

// One that is armed again while it expires expires again in its time.
func TestAlarmRepeats(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	loop := poll.NewManual(now, time.Second)
	r := &repeater{loop: loop}
	r.Owner = r
	loop.ArmAt(&r.Alarm, 1)
	for ms := time.Duration(0); ms < 100; ms++ {
		loop.Turn(now.Add(ms * time.Millisecond))
	}
	if r.n != 10 {
		t.Errorf("expired %d times, want 10", r.n)
	}
}

type repeater struct {
	poll.Alarm
	loop *poll.Loop
	n    int
}

func (r *repeater) Expire() {
	r.n++
	r.loop.ArmAt(&r.Alarm, r.loop.Moment().After(10*time.Millisecond))
}
