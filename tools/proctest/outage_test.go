package proctest_test

import (
	"fmt"
	"testing"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
)

// TestStatsAfterAnOutage: an edge that was cut off for so long that owners may have expired it
// registers again with a later generation. The monitor still knows its counters: it is the same
// process.
func TestStatsAfterAnOutage(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, "CONFAB_READY_NATS_GRACE=6s")
	c.Start("nats1", "room1", "ratelimit1", "monitor1", "edge1")
	c.Probe("edge1", "/readyz", 200)
	complete := func() {
		t.Helper()
		eventually.OK(t, "complete stats", func() error {
			r, _, err := c.Report("/websocket/stats")
			if err == nil && !r.Complete {
				err = fmt.Errorf("stats are not complete: %+v", r)
			}
			return err
		})
	}
	complete()
	c.Kill("nats1")
	c.Probe("edge1", "/readyz", 503) // after the grace
	c.Start("nats1")
	c.Probe("edge1", "/readyz", 200)
	complete()
}
