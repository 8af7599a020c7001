//go:build linux

package scenario

import (
	"testing"
	"time"
)

// A caller that asks late gets all messages that were due meanwhile, each with its own time.
func TestLateCallerGetsTrueTimes(t *testing.T) {
	s := newSchedule(1000, 1e6, 1) // each microsecond
	for i := range int64(5) {
		due, ok := s.advance(5500)
		if want := 1000 + i*1000; !ok || due != want {
			t.Errorf("message %d: due %d %v, want %d", i, due, ok, want)
		}
	}
	if due, ok := s.advance(5500); ok {
		t.Errorf("a sixth one, due %d", due)
	}
	if got := s.untilNext(5500, time.Second); got != 500 {
		t.Errorf("wait %v, want 500ns", got)
	}
}

func TestBurst(t *testing.T) {
	s := newSchedule(0, 1000, 10)
	var dues []int64
	for now := int64(0); now < int64(20*time.Millisecond); now += int64(time.Millisecond) {
		for due, ok := s.advance(now); ok; due, ok = s.advance(now) {
			dues = append(dues, due)
		}
	}
	if len(dues) != 20 || dues[0] != dues[9] || dues[10]-dues[9] != int64(10*time.Millisecond) {
		t.Errorf("%v", dues)
	}
}

// A rate that does not divide a second evenly is still met over a long time.
func TestNoDrift(t *testing.T) {
	s := newSchedule(0, 7000, 1)
	n := 0
	for _, ok := s.advance(int64(100 * time.Second)); ok; _, ok = s.advance(int64(100 * time.Second)) {
		n++
	}
	if n != 700_001 { // the first is due at once
		t.Errorf("%d in 100 s, want 700 001", n)
	}
}

func TestNoRate(t *testing.T) {
	for _, s := range []schedule{{}, newSchedule(0, 0, 1), newSchedule(0, -1, 1)} {
		if _, ok := s.advance(1 << 60); ok {
			t.Error("a message is due without a rate")
		}
		if got := s.untilNext(1<<60, time.Second); got != time.Second {
			t.Errorf("wait %v", got)
		}
	}
}
