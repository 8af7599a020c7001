package sequencer_test

import (
	"fmt"
	"testing"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/room/internal/sequencer/log/logtest"
)

// cold returns a world with n messages in the log, which no owner has in memory.
func cold(n int) *world {
	w := newWorld()
	w.store(w.newRoom(1), 1, n, 64)
	w.RunAll()
	w.Kill(1)
	return w
}

// Any number of requests may wait for the log: few of them read at once, and all are answered.
func TestReadsAreBounded(t *testing.T) {
	t.Parallel()
	w := cold(2000)
	r := w.newRoom(2)
	r.WhenLoaded(func(error) {})
	w.RunAll()
	const requests = 300
	for i := range requests {
		r.History(&wire.History{Room: "general", HasAfter: true, After: uint64(i * 5), Limit: 10}, fmt.Sprint(i))
	}
	for len(w.Steps) > 0 {
		if len(w.Steps) > 8 {
			t.Fatalf("%d reads at once", len(w.Steps))
		}
		w.RunStep(0, logtest.Fine)
	}
	for i := range requests {
		if n := len(w.replies[fmt.Sprint(i)]); n != 1 {
			t.Errorf("request %d has %d replies", i, n)
		}
	}
}

// A stopped task has no effect, also when the log answers it late.
func TestStoppedTasksStaySilent(t *testing.T) {
	t.Parallel()
	w := cold(2000)
	r := w.newRoom(2)
	r.WhenLoaded(func(error) {})
	w.RunAll()
	for i := range 20 { // some of them read, the others wait for them
		r.History(&wire.History{Room: "general", Before: uint64(100 * (i + 1)), Limit: 10}, fmt.Sprint("history ", i))
	}
	send(r, "new", "x", "sent")
	w.RunStep(0, logtest.Fine)
	for _, env := range w.envs[2] {
		env.StopTasks()
	}
	w.RunAll()
	if len(w.replies) > 0 {
		t.Errorf("a stopped room has replied: %d times", len(w.replies))
	}
}
