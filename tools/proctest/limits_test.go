package proctest_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/workload"
)

// sends sends n messages and returns how many are accepted. All others must be refused because of
// the limit, with a time after which to try again.
func sends(tb testing.TB, o *observer, n int) (accepted int) {
	tb.Helper()
	for range n {
		ctx, cancel := context.WithTimeout(context.Background(), workload.Attempt)
		_, err := o.Send(ctx, "r", workload.Text)
		cancel()
		switch e := code.From(err); {
		case err == nil:
			accepted++
		case e.Code != code.RateLimited || e.RetryAfter <= 0 || e.RetryAfter > time.Minute:
			tb.Errorf("%v", err)
		}
	}
	return accepted
}

// leased waits until an edge decides o's permits under a lease. On a busy machine the first
// requests to ratelimit may take longer than an edge waits.
func leased(tb testing.TB, c *clustertest.Cluster, edge string, o *observer) {
	tb.Helper()
	decided := regexp.MustCompile(`(?m)^chat_permits_total\{[^}]*chat_decided="lease"[^}]*\} [1-9]`)
	eventually.OK(tb, "a permit under a lease", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), workload.Attempt)
		defer cancel()
		if err := o.Request(ctx, "typing", map[string]any{"roomId": "r", "isTyping": false}, nil); err != nil {
			return err
		}
		metrics, err := c.Metrics(edge)
		if err == nil && !decided.MatchString(metrics) {
			err = errors.New("no permit was decided under a lease")
		}
		return err
	})
}

// missed returns how many answers were too late for exact limits: permits that an edge decided
// without an answer, and leases that were not returned in time.
func missed(tb testing.TB, c *clustertest.Cluster, names ...string) (n int) {
	tb.Helper()
	late := regexp.MustCompile(`(?m)^chat_(?:permits|ratelimit_leases)_total\{[^}]*="(?:fallback|unanswered)"[^}]*\} (\d+)`)
	for _, name := range names {
		eventually.OK(tb, "the metrics of "+name, func() error {
			metrics, err := c.Metrics(name)
			if err != nil {
				return err
			}
			found := late.FindStringSubmatch(metrics)
			if found == nil {
				return errors.New("no count of late answers")
			}
			count, err := strconv.Atoi(found[1])
			n += count
			return err
		})
	}
	return n
}

// atFirstEdge starts a cluster with two edges, and ann at the first, which decides her permits
// under a lease.
func atFirstEdge(tb testing.TB, limit string) (*clustertest.Cluster, *observer) {
	tb.Helper()
	c := clustertest.New(tb, limit)
	c.Start("nats1", "room1", "ratelimit1", "monitor1", "edge1", "edge2")
	c.Probe("edge1", "/readyz", 200)
	c.Probe("edge2", "/readyz", 200)
	c.WaitOwned(1)
	ann := observe(tb, c.URL("edge1"), "ann")
	ann.enter("r")
	leased(tb, c, "edge1", ann)
	return c, ann
}

// TestLimitOverEdges: a user has one limit over all edges. The user's edge enforces it without
// ratelimit, and reports it to a new owner. When the machine is too slow for answers within
// 50 ms, an edge grants half the limit.
func TestLimitOverEdges(t *testing.T) {
	t.Parallel()
	const limit = 12
	c, one := atFirstEdge(t, fmt.Sprint("CONFAB_LIMIT_MESSAGES=", limit))
	late := missed(t, c, "edge1", "edge2")
	before := sends(t, one, 3)
	c.Kill("ratelimit1")
	c.WaitSilent("ratelimit", "degraded")
	without := sends(t, one, 3)
	c.Start("ratelimit1")
	c.WaitOwned(1)
	two := observe(t, c.URL("edge2"), "ann")
	two.enter("r")
	after := sends(t, two, 8)
	more := sends(t, one, 3)
	got := fmt.Sprintf("%d before, %d without ratelimit, %d through the other edge afterwards, %d more", before, without, after, more)
	if late = missed(t, c, "edge1", "edge2", "ratelimit1") - late; late > 0 {
		t.Logf("%s; %d answers came too late", got, late)
		if all := before + without + after + more; all > limit+2*(limit/2) || before+without != 6 {
			t.Errorf("%s: %d in all", got, all)
		}
		return
	}
	if before+without != 6 || after != 6 || more != 0 {
		t.Errorf("%s: want 3, 3, 6, 0", got)
	}
}

// TestLimitOfAnEdgeThatStops: a user who moves from an edge that drains keeps what was used there.
func TestLimitOfAnEdgeThatStops(t *testing.T) {
	t.Parallel()
	const limit = 6
	c, one := atFirstEdge(t, fmt.Sprint("CONFAB_LIMIT_MESSAGES=", limit))
	late := missed(t, c, "edge2", "ratelimit1")
	if n := sends(t, one, 4); n != 4 {
		t.Fatalf("%d of 4 accepted", n)
	}
	one.stop()
	c.Stop("edge1")
	two := observe(t, c.URL("edge2"), "ann")
	two.enter("r")
	n := sends(t, two, 4)
	late = missed(t, c, "edge2", "ratelimit1") - late
	if late == 0 && n != 2 || n > 2+limit/2 {
		t.Errorf("%d more accepted, 2 were left, and %d answers came too late", n, late)
	}
}
