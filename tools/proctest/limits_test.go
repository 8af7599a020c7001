package proctest_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/tools/internal/proc"
	"github.com/confab-chat/confab/tools/internal/talk"
)

// sends counts how many of n messages of a user are accepted through an edge. All
// others must be refused for the limit, with a time after which to try again.
func sends(tb testing.TB, o *observer, n int) (accepted int) {
	tb.Helper()
	for range n {
		ctx, cancel := context.WithTimeout(context.Background(), talk.Attempt)
		_, err := o.Send(ctx, "r", talk.Text)
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

// leased waits until an edge decides o's permits under a lease: on a busy machine the
// first requests to ratelimit may take longer than an edge waits.
func leased(tb testing.TB, c *proc.Cluster, edge string, o *observer) {
	tb.Helper()
	decided := regexp.MustCompile(`(?m)^chat_permits_total\{[^}]*chat_decided="lease"[^}]*\} [1-9]`)
	proc.Eventually(tb, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), talk.Attempt)
		defer cancel()
		if err := o.Request(ctx, "typing", map[string]any{"roomId": "r", "isTyping": false}, nil); err != nil {
			return err
		}
		_, metrics, err := proc.Get("http://" + c.Parts[edge].Admin + "/metrics")
		if err == nil && !decided.MatchString(metrics) {
			err = errors.New("no permit was decided under a lease")
		}
		return err
	})
}

// missed counts what edges and instances of ratelimit were too slow for, so that limits
// were not exact: permits that an edge decided for want of an answer, and leases that
// were not given back in time.
func missed(tb testing.TB, c *proc.Cluster, names ...string) (n int) {
	tb.Helper()
	late := regexp.MustCompile(`(?m)^chat_(?:permits|ratelimit_leases)_total\{[^}]*="(?:fallback|unanswered)"[^}]*\} (\d+)`)
	for _, name := range names {
		proc.Eventually(tb, func() error {
			_, metrics, err := proc.Get("http://" + c.Parts[name].Admin + "/metrics")
			if err != nil {
				return err
			}
			found := late.FindStringSubmatch(metrics)
			if found == nil {
				return errors.New(name + " does not count what it misses")
			}
			count, err := strconv.Atoi(found[1])
			n += count
			return err
		})
	}
	return n
}

// atFirstEdge starts a cluster with two edges, and ann at the first, which decides her
// permits by itself.
func atFirstEdge(tb testing.TB, limit string) (*proc.Cluster, *observer) {
	tb.Helper()
	c := proc.NewCluster(tb, limit)
	c.All("nats1", "room1", "ratelimit1", "monitor1", "edge1", "edge2")
	c.Probe("edge1", "/readyz", 200)
	c.Probe("edge2", "/readyz", 200)
	c.Owned(1)
	ann := observe(tb, c.URL("edge1"), "ann")
	ann.enter("r")
	leased(tb, c, "edge1", ann)
	return c, ann
}

// TestLimitOverEdges: a user's limit is one, through whichever edge. The edge that
// the user is at knows it without ratelimit, and a new owner hears of it from there.
// Where the machine is too slow for the answers' 50 ms, an edge grants half the limit.
func TestLimitOverEdges(t *testing.T) {
	t.Parallel()
	const limit = 12
	c, one := atFirstEdge(t, fmt.Sprint("CONFAB_LIMIT_MESSAGES=", limit))
	late := missed(t, c, "edge1", "edge2")
	before := sends(t, one, 3)
	c.Parts["ratelimit1"].Kill()
	c.Silent("ratelimit", "degraded")
	without := sends(t, one, 3)
	c.Start("ratelimit1")
	c.Owned(1)
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

// TestLimitOfAnEdgeThatStops: who moves from an edge that drains has used what was
// used there.
func TestLimitOfAnEdgeThatStops(t *testing.T) {
	t.Parallel()
	const limit = 6
	c, one := atFirstEdge(t, fmt.Sprint("CONFAB_LIMIT_MESSAGES=", limit))
	late := missed(t, c, "edge2", "ratelimit1")
	if n := sends(t, one, 4); n != 4 {
		t.Fatalf("%d of 4 accepted", n)
	}
	one.stop()
	c.Parts["edge1"].Signal(syscall.SIGTERM)
	if code := c.Parts["edge1"].Exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	two := observe(t, c.URL("edge2"), "ann")
	two.enter("r")
	n := sends(t, two, 4)
	late = missed(t, c, "edge2", "ratelimit1") - late
	if late == 0 && n != 2 || n > 2+limit/2 {
		t.Errorf("%d more accepted, 2 were left, and %d answers came too late", n, late)
	}
}
