package session

import (
	"log/slog"
	"time"

	"github.com/confab-chat/confab/proto/code"
)

// refusalsPerSecond is how many refusals of a loop are told at level info in a second:
// enough to find the ref that somebody reads out, too few to fill a disk with.
const refusalsPerSecond = 20

// refusals is how the refusals of one loop are logged. Owned by the loop.
type refusals struct {
	second int64
	told   int
	unsaid uint64 // below level info, since the last one that was told
}

// level is the one for a refusal at now, and how many before it were not told.
func (r *refusals) level(now time.Time, k code.Code) (level slog.Level, unsaid uint64) {
	if second := now.Unix(); second != r.second {
		r.second, r.told = second, 0
	}
	if k != code.Internal && r.told >= refusalsPerSecond {
		r.unsaid++
		return slog.LevelDebug, 0
	}
	r.told++
	unsaid, r.unsaid = r.unsaid, 0
	if k == code.Internal { // we are to blame
		return slog.LevelError, unsaid
	}
	return slog.LevelInfo, unsaid
}
