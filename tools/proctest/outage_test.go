package proctest_test

import (
	"fmt"
	"testing"

	"github.com/confab-chat/confab/tools/internal/proc"
)

// TestStatsAfterAnOutage: an edge that was cut off for so long that owners may have
// given it up registers again under a later generation, and is the same process to
// the monitor all the same: its counters are known.
func TestStatsAfterAnOutage(t *testing.T) {
	t.Parallel()
	c := proc.NewCluster(t, "CONFAB_READY_NATS_GRACE=6s")
	c.All("nats1", "room1", "ratelimit1", "monitor1", "edge1")
	c.Probe("edge1", "/readyz", 200)
	complete := func() {
		t.Helper()
		proc.Eventually(t, func() error {
			p, _, err := c.Picture("/websocket/stats")
			if err == nil && !p.Complete {
				err = fmt.Errorf("stats are not complete: %+v", p)
			}
			return err
		})
	}
	complete()
	c.Parts["nats1"].Kill()
	c.Probe("edge1", "/readyz", 503) // after the grace
	c.Start("nats1")
	c.Probe("edge1", "/readyz", 200)
	complete()
}
