package session

import (
	"log/slog"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
)

// A flood of refusals is logged in part, with how much was left out.
func TestRefusalsAreSampled(t *testing.T) {
	t.Parallel()
	var r refusals
	now := time.Unix(1000, 0)
	count := func(n int, k code.Code) (logged map[slog.Level]int, suppressed uint64) {
		logged = make(map[slog.Level]int)
		for range n {
			level, skipped := r.level(now, k)
			logged[level]++
			suppressed += skipped
		}
		return logged, suppressed
	}
	if logged, _ := count(100, code.BadRequest); logged[slog.LevelInfo] != refusalsPerSecond || logged[slog.LevelDebug] != 100-refusalsPerSecond {
		t.Errorf("in one second: %v", logged)
	}
	if logged, _ := count(3, code.Internal); logged[slog.LevelError] != 3 {
		t.Errorf("our own faults: %v", logged)
	}
	now = now.Add(time.Second)
	count(50, code.RateLimited)
	now = now.Add(time.Second)
	if _, suppressed := count(1, code.RateLimited); suppressed != 50-refusalsPerSecond {
		t.Errorf("%d were left out", suppressed)
	}
}
