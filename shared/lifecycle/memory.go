package lifecycle

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// trimEvery is how often a process checks its memory use.
	trimEvery = time.Second
	// trimAfter is the number of consecutive quiet checks before memory is returned.
	trimAfter = 2
	// trimSlack is the amount of unused memory, in bytes, that is not worth a collection.
	trimSlack = 4 << 20
)

// returnMemory returns unused memory to the system while the process is quiet, until ctx
// ends. The runtime lets garbage grow to as much as is in use and collects only under
// load: after a burst of connections a quiet process would hold twice the memory it needs
// for minutes. A collection while quiet delays no request.
func returnMemory(ctx context.Context) {
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

// trimmer decides when memory is returned to the system. The zero value is ready.
type trimmer struct {
	allocated uint64 // at the last look
	trimmed   uint64 // allocated, when memory was last returned
	quiet     int    // looks in a row
}

// due reports whether the process is quiet and holds a quarter more than it needs, of
// which some is garbage. Its arguments, in bytes: allocated since the start, in use at
// the last collection, and held from the system.
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
