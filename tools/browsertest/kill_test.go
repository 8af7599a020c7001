package browsertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/confab-chat/confab/shared/client"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
	"github.com/confab-chat/confab/tools/internal/workload"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// A client sends all the time while the page's edge is killed and started again, once together
// with the owner of the room, so that the room cannot be joined for some seconds. The page then
// shows every message once, in order, including its own.
func TestEdgeIsKilled(t *testing.T) {
	ctx := browser(t)
	c := clustertest.New(t)
	c.Start("nats1", "room1", "ratelimit1", "monitor1", "edge1", "edge2")
	for _, edge := range []string{"edge1", "edge2"} {
		c.Probe(edge, "/readyz", 200)
	}
	alice := open(t, ctx, c.Parts["edge1"].Public, "Alice")
	bob := workload.NewClient(c.URL("edge2"), "bob", func(client.Event) {})
	life, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := bob.Run(life); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { end(); running.Wait() })
	if _, err := bob.Join(life, "general"); err != nil {
		t.Fatal(err)
	}
	var talking sync.WaitGroup
	quiet := make(chan struct{})
	stop := sync.OnceFunc(func() { close(quiet) })
	t.Cleanup(func() { stop(); talking.Wait() })
	talking.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-quiet:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if _, err := bob.Send(life, "general", fmt.Sprint("bob ", n)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for n, victims := range [][]string{{"edge1"}, {"edge1", "room1"}} {
		alice.is("document.querySelectorAll('.message').length > 5", "messages")
		for _, name := range victims {
			c.Kill(name)
		}
		alice.shows("#link", "reconnecting")
		alice.says(fmt.Sprint("alice ", n))
		c.Start("edge1")
		if len(victims) > 1 { // the room has no owner for longer than a join waits
			alice.shows("#notice", "tried again")
			c.Start("room1")
		}
		alice.shows("#link", "online")
		alice.is("document.querySelectorAll('.message.sending').length === 0", "her message to be acknowledged")
	}
	stop()
	talking.Wait()
	want := read(t, bob)
	alice.is(fmt.Sprintf("document.querySelectorAll('.message').length >= %d", len(want)), "all messages")
	got, err := chromedp.Run(alice.ctx, chromedp.Evaluate[[]string]("[...document.querySelectorAll('.message .text')].map(e => e.textContent)"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the page shows\n%q\nstored is\n%q", got, want)
	}
	if !slices.Contains(got, "alice 0") || !slices.Contains(got, "alice 1") {
		t.Error("her own are missing")
	}
	alice.picture("killed")
}

// read returns the texts in the history of the room.
func read(t *testing.T, c *client.Client) (texts []string) {
	t.Helper()
	for after := uint64(0); ; {
		ctx, cancel := context.WithTimeout(t.Context(), workload.Attempt)
		page, err := c.HistoryAfter(ctx, "general", after, 200)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			texts = append(texts, m.Content)
			after = m.Seq
		}
		if !page.HasMore {
			return texts
		}
	}
}
