package natstest

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/eventually"
)

// maxSubjects bounds a Tap's memory. A test with more subjects has a naming defect, and
// fails.
const maxSubjects = 65_536

// Tap counts the subjects of everything that is published while a test runs,
// requests and replies included. Safe for concurrent use.
type Tap struct {
	nc *nats.Conn // static

	mu    sync.Mutex // guards seen
	seen  map[string]int
	wakes chan struct{} // holds a token when something new was seen; never closed
}

func newTap(tb testing.TB, p nats.InProcessConnProvider) *Tap {
	tb.Helper()
	t := &Tap{nc: Conn(tb, p), seen: make(map[string]int), wakes: make(chan struct{}, 1)}
	_, err := t.nc.Subscribe(">", func(m *nats.Msg) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, known := t.seen[m.Subject]; !known && len(t.seen) >= maxSubjects {
			tb.Errorf("tap: more than %d subjects", maxSubjects)
			return
		}
		t.seen[m.Subject]++
		select {
		case t.wakes <- struct{}{}:
		default: // a wake is due already
		}
	})
	if err == nil {
		err = t.nc.Flush()
	}
	if err != nil {
		tb.Fatalf("tap: %v", err)
	}
	return t
}

// Subjects returns the recorded subjects, sorted.
func (t *Tap) Subjects() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.seen))
}

// Count returns the number of messages on subjects that match pattern, which may have the
// wildcards of NATS.
func (t *Tap) Count(pattern string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	total := 0
	for subject, n := range t.seen {
		if Matches(pattern, subject) {
			total += n
		}
	}
	return total
}

// Wait waits for at least n messages on pattern, see package eventually. It must not be called
// concurrently.
func (t *Tap) Wait(tb testing.TB, pattern string, n int) {
	tb.Helper()
	deadline := time.NewTimer(eventually.Patience())
	defer deadline.Stop()
	for t.Count(pattern) < n {
		select {
		case <-t.wakes:
		case <-deadline.C:
			tb.Fatalf("tap: %d of %d messages on %q", t.Count(pattern), n, pattern)
		}
	}
}

// Matches reports whether subject matches pattern, in which * stands for one token and a
// final > for one or more.
func Matches(pattern, subject string) bool {
	for {
		p, restP, moreP := strings.Cut(pattern, ".")
		s, restS, moreS := strings.Cut(subject, ".")
		switch {
		case p == ">" && !moreP:
			return true
		case p != "*" && p != s, moreP != moreS:
			return false
		case !moreP:
			return true
		}
		pattern, subject = restP, restS
	}
}
