package natstest

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats-server/v2/server/ats"
)

// VirtualTime runs f in a synctest bubble in which servers may be started. The servers, their
// connections and gates share f's virtual time: an hour takes no time, and a deadline is met
// exactly, however busy the machine is.
//
// Virtual time advances only while all goroutines of the bubble wait for one another. It stands
// still while one waits for a socket, so f must not use [Listen], [Gate.Listen], [StartCluster]
// or a TCP listener. It also stands still while one waits for a mutex: nats.go holds one while
// it waits for the server's greeting, so nothing may connect through a gate that is a blackhole.
//
// t must not be parallel, and f must not call its Parallel. Tests that are parallel run later,
// after all that are not.
func VirtualTime(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Setenv("CONFAB_TEST_TIME", "virtual") // panics if t is parallel

	// nats.go keeps its timers for the whole process, and a timer of a bubble must not be used
	// outside of it.
	dropPools()
	defer dropPools()

	// Under the race detector the timers of a bubble share one context, and the runtime (Go 1.26)
	// runs a timer that is due at once on whichever processor starts it: two at a time crash.
	if raceDetector {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}

	// The stores of all servers share one goroutine. If it was started in the bubble, virtual
	// time would stand still: it waits for a channel of the process.
	ats.Register()
	defer ats.Unregister()

	synctest.Test(t, f)
}

// dropPools empties every sync.Pool: a value survives one collection, and not two.
func dropPools() {
	runtime.GC()
	runtime.GC()
}
