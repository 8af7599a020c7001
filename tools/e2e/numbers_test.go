package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/tools/internal/suitetest"
)

// TestNumbersAreSums: the monitor counts each message once, however many reports of the edge and
// the owner follow each other.
func TestNumbersAreSums(t *testing.T) {
	t.Parallel()
	s := suitetest.Start(t, "CONFAB_LIMIT_MESSAGES=1000")
	settle(t, s)
	secret, err := devtoken.Secret(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	sc := newScene(t, s, secret)
	ann := sc.conn("ann")
	ann.join("#r")
	for round := range uint64(3) {
		const each = 7
		for i := range each {
			ann.says("#r", "hello", int(round)*each+i+1)
		}
		sc.poll(func() error { return sc.counted((round + 1) * each) })
	}
}

// counted checks that the statistics of the monitor are those of n messages.
func (sc *scene) counted(n uint64) error {
	sc.Helper()
	_, body := sc.fetch(http.MethodGet, "http://"+sc.s.Monitor+"/websocket/stats", "")
	var stats struct {
		Messages struct{ TotalProcessed uint64 }
		Latency  map[string]struct{ Count uint64 }
		Rates    struct{ Messages *float64 }
	}
	if err := json.Unmarshal([]byte(body), &stats); err != nil {
		return err
	}
	accepted, appended := stats.Latency["accept"].Count, stats.Latency["append"].Count
	if stats.Messages.TotalProcessed != n || accepted != n || appended != n {
		return fmt.Errorf("wrong-sum: seen %d messages stored, %d accepted, %d appended; want %d each",
			stats.Messages.TotalProcessed, accepted, appended, n)
	}
	if stats.Rates.Messages == nil || *stats.Rates.Messages == 0 {
		return fmt.Errorf("no messages a second in %s", body)
	}
	return nil
}
