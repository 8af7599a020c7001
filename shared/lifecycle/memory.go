package lifecycle

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// trimEvery is how often a process looks at what it uses.
	trimEvery = time.Second
	// trimAfter is how many quiet looks there must be in a row.
	trimAfter = 2
	// trimSlack is what is never worth a collection, in bytes.
	trimSlack = 4 << 20
)

// giveBackMemory runs until ctx ends. The runtime lets garbage grow to as much as is in
// use, and collects when there is work; what a storm of connections has left behind
// would stay for minutes in a process that has become quiet, twice what its idle
// connections need. In the quiet a collection costs nobody anything.
func giveBackMemory(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	var t trimmer
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(samples)
		value := func(i int) uint64 { return samples[i].Value.Uint64() }
		if t.due(value(0), value(1), value(2)+value(3)+value(4)) {
			debug.FreeOSMemory()
		}
	}
}

// trimmer decides when memory is given back. The zero value is ready.
type trimmer struct {
	allocated uint64 // at the last look
	trimmed   uint64 // allocated, when memory was given back last
	quiet     int    // looks in a row
}

// due takes what has been allocated since the start, what was in use at the last
// collection, and what is held of the system, in bytes. It tells whether the process is
// quiet and holds a quarter more than it needs, of which something is garbage.
func (t *trimmer) due(allocated, live, held uint64) bool {
	lately := allocated - t.allocated
	t.allocated = allocated
	if lately > max(trimSlack/4, live/64) {
		t.quiet = 0
		return false
	}
	t.quiet++
	garbage := allocated - t.trimmed
	if t.quiet < trimAfter || garbage < trimSlack+live/8 || held < live+live/4+trimSlack {
		return false
	}
	t.trimmed = allocated
	return true
}
