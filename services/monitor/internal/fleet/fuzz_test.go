package fleet_test

import (
	"errors"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/fleet"
)

// FuzzCursor passes arbitrary cursors to Stats.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "?", "AAAA", "MSA8aW1nIHNyYz14Pg", "LTEgYQ", "IGE", "MSA", "enp6enp6enp6enp6enp6IGE"} {
		f.Add(seed)
	}
	c, now := fleet.New(start), at(time.Minute)
	room := newProcess(f, c, wire.ServiceRoom, "a", 1)
	for ms := range int64(3) {
		room.tel.Rooms = append(room.tel.Rooms, wire.RoomDetail{RoomID: "r", LastActivityMs: ms})
	}
	room.beat(now)
	room.sendTelemetry(now, nil)
	f.Fuzz(func(t *testing.T, cursor string) {
		s, err := c.Stats(now, cursor)
		if err != nil && !errors.Is(err, fleet.ErrCursor) {
			t.Errorf("%q: %v", cursor, err)
		}
		if err == nil && len(s.Rooms.Details) > fleet.PageSize {
			t.Errorf("%q: %d rooms", cursor, len(s.Rooms.Details))
		}
	})
}
