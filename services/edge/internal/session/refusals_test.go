package session

import (
	"log/slog"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
)

// A flood of refusals is told in part, and how much was left out.
func TestRefusalsAreSampled(t *testing.T) {
	t.Parallel()
	var r refusals
	now := time.Unix(1000, 0)
	count := func(n int, k code.Code) (told map[slog.Level]int, unsaid uint64) {
		told = make(map[slog.Level]int)
		for range n {
			level, skipped := r.level(now, k)
			told[level]++
			unsaid += skipped
		}
		return told, unsaid
	}
	if told, _ := count(100, code.BadRequest); told[slog.LevelInfo] != refusalsPerSecond || told[slog.LevelDebug] != 100-refusalsPerSecond {
		t.Errorf("in one second: %v", told)
	}
	if told, _ := count(3, code.Internal); told[slog.LevelError] != 3 {
		t.Errorf("our own faults: %v", told)
	}
	now = now.Add(time.Second)
	count(50, code.RateLimited)
	now = now.Add(time.Second)
	if _, unsaid := count(1, code.RateLimited); unsaid != 50-refusalsPerSecond {
		t.Errorf("%d were left out", unsaid)
	}
}
