// Package eventually waits in tests for what another goroutine or process does. A test that can
// receive from a channel or run in a synctest bubble should do so instead.
//
// All functions but [Retry] fail the test at once when the wait has lasted for [Patience], and then
// say what was awaited and what was seen last. They must be called on the test's goroutine.
package eventually

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// PatienceEnv is the environment variable that changes [Patience], for machines that are slower
// than usual: a duration such as 3m.
const PatienceEnv = "CONFAB_TEST_PATIENCE"

// Attempts follow each other at intervals that grow from the first to the second.
const (
	firstInterval = time.Millisecond
	lastInterval  = 20 * time.Millisecond
)

// Patience is how long one wait of a test may last, on a busy machine. Only a failing test takes
// that long.
var Patience = sync.OnceValue(func() time.Duration {
	text := os.Getenv(PatienceEnv)
	if text == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		panic(fmt.Sprintf("%s=%q: want a positive duration", PatienceEnv, text))
	}
	return d
})

// Retry calls attempt until it returns nil. After [Patience] it returns attempt's error. It may be
// called on any goroutine.
func Retry(attempt func() error) error {
	start := time.Now()
	for interval := firstInterval; ; interval = min(2*interval, lastInterval) {
		err := attempt()
		if err == nil || time.Since(start) > Patience() {
			return err
		}
		<-time.After(interval)
	}
}

// OK calls attempt until it returns nil, and returns how long that took.
func OK(tb testing.TB, what string, attempt func() error) time.Duration {
	tb.Helper()
	start := time.Now()
	if err := Retry(attempt); err != nil {
		tb.Fatalf("%s: not after %v: %v", what, Patience(), err)
	}
	return time.Since(start)
}

// True calls ok until it returns true. state, if given, describes what is seen when the test
// fails.
func True(tb testing.TB, what string, ok func() bool, state ...func() any) {
	tb.Helper()
	OK(tb, what, func() error {
		if ok() {
			return nil
		}
		var seen []any
		for _, s := range state {
			seen = append(seen, s())
		}
		return fmt.Errorf("seen %v", seen)
	})
}

// Equal calls get until it returns want.
func Equal[T comparable](tb testing.TB, what string, want T, get func() T) {
	tb.Helper()
	OK(tb, what, func() error {
		if got := get(); got != want {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
}

// Receive returns the next value of ch, the zero value if ch is closed.
func Receive[T any](tb testing.TB, what string, ch <-chan T) T {
	tb.Helper()
	timer := time.NewTimer(Patience())
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		tb.Fatalf("%s: not after %v", what, Patience())
		panic("unreachable")
	}
}

// Parallel makes go test run up to n parallel tests of a package at the same time, whatever the
// number of processors, because they wait more than they compute. TestMain calls it before m.Run.
// The flag -parallel takes precedence.
func Parallel(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err)
	}
}

// Context returns a context that is done after [Patience], for one call that waits.
func Context(tb testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(tb.Context()), Patience())
}
