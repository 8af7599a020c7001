package fleet

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
)

// PageSize is the number of rooms on one page of Stats.
const PageSize = 100

// page returns the rooms after cursor, by latest activity, and the cursor of the next
// page, empty on the last one. A room whose activity changes between two requests may
// appear twice or not at all.
func (f *Fleet) page(now time.Time, cursor string) ([]wire.RoomDetail, string, error) {
	all := f.rooms(now)
	from := 0
	if cursor != "" {
		last, err := parseCursor(cursor)
		if err != nil {
			return nil, "", err
		}
		var found bool
		if from, found = slices.BinarySearchFunc(all, last, byActivity); found {
			from++
		}
	}
	rest := all[from:]
	if len(rest) <= PageSize {
		return rest, "", nil
	}
	rest = rest[:PageSize]
	return rest, formatCursor(rest[PageSize-1]), nil
}

// rooms merges the rooms that the listed room instances report. Two instances may report
// the same room during a hand-over: the one with the newer activity counts. A dead instance,
// and a silent one whose shards another instance has taken over, lists none.
func (f *Fleet) rooms(now time.Time) []wire.RoomDetail {
	if f.sorted {
		return f.details
	}
	newest := make(map[string]wire.RoomDetail)
	list := f.withoutDead(now, f.list(now))
	owner := f.shards(now, list, wire.ServiceRoom).owner
	for _, in := range list {
		if in.current.telemetry == nil {
			continue
		}
		silent := in.status(now).Silent()
		for _, r := range in.current.telemetry.Rooms {
			if silent && owner[subject.Shard(r.RoomID)] != in {
				continue
			}
			if have, ok := newest[r.RoomID]; !ok || r.LastActivityMs > have.LastActivityMs {
				newest[r.RoomID] = r
			}
		}
	}
	f.details = f.details[:0:0]
	for _, r := range newest {
		f.details = append(f.details, r)
	}
	slices.SortFunc(f.details, byActivity)
	f.sorted = true
	return f.details
}

// byActivity orders rooms by last activity, newest first, then by id.
func byActivity(a, b wire.RoomDetail) int {
	return cmp.Or(cmp.Compare(b.LastActivityMs, a.LastActivityMs), cmp.Compare(a.RoomID, b.RoomID))
}

// A cursor names the last room of a page: its activity and id.
func formatCursor(r wire.RoomDetail) string {
	raw := strconv.FormatInt(r.LastActivityMs, 36) + " " + r.RoomID
	return base64.RawURLEncoding.EncodeToString([]byte(raw))
}

func parseCursor(cursor string) (wire.RoomDetail, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return wire.RoomDetail{}, ErrCursor
	}
	at, room, ok := strings.Cut(string(raw), " ")
	ms, err := strconv.ParseInt(at, 36, 64)
	if !ok || err != nil {
		return wire.RoomDetail{}, ErrCursor
	}
	return wire.RoomDetail{RoomID: room, LastActivityMs: ms}, nil
}
