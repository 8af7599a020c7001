package proctest_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/cluster"
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

// TestTotalsWithoutADeadEdge: the connections of a killed edge leave the totals, and count as closed.
func TestTotalsWithoutADeadEdge(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t)
	c.Start("nats1", "room1", "ratelimit1", "monitor1", "edge1", "edge2")
	for _, edge := range []string{"edge1", "edge2"} {
		c.Probe(edge, "/readyz", 200)
	}
	for i := range 3 {
		connect(t, c.URL("edge1"), fmt.Sprint("lost", i), func(client.Event) {})
	}
	connect(t, c.URL("edge2"), "left", func(client.Event) {})
	type totals struct{ Current, Total, TotalDisconnections uint64 }
	becomes := func(what string, connections totals, listed int) {
		t.Helper()
		eventually.OK(t, what, func() error {
			_, body, err := cluster.Get(t.Context(), c.MonitorURL()+"/websocket/stats")
			var stats struct {
				Connections totals
				Rooms       struct {
					Details []struct{ UserCount int }
				}
			}
			if err == nil {
				err = json.Unmarshal([]byte(body), &stats)
			}
			if d := stats.Rooms.Details; err == nil && (stats.Connections != connections || len(d) != 1 || d[0].UserCount != listed) {
				err = fmt.Errorf("%s", body)
			}
			return err
		})
	}
	becomes("four connections", totals{4, 4, 0}, 4)
	c.Kill("edge1")
	becomes("one connection", totals{1, 4, 3}, 1)
}
