package lifecycle

import "testing"

const mib = 1 << 20

func TestTrimmer(t *testing.T) {
	t.Parallel()
	type look struct {
		allocated, live, held uint64 // MiB
		due                   bool
	}
	for name, looks := range map[string][]look{
		"small and quiet": {{1, 2, 4, false}, {1, 2, 4, false}, {1, 2, 4, false}},
		"after a storm":   {{500, 20, 45, false}, {900, 20, 45, false}, {900, 20, 45, false}, {900, 20, 45, true}},
		"once":            {{500, 20, 45, false}, {500, 20, 45, false}, {500, 20, 45, true}, {500, 20, 45, false}, {501, 20, 45, false}},
		// Heartbeats make garbage, too; it is collected when it is worth it.
		"again when garbage has come": {
			{500, 20, 45, false}, {500, 20, 45, false}, {500, 20, 45, true}, {501, 20, 45, false}, {502, 20, 45, false}, {503, 20, 45, false},
			{504, 20, 45, false}, {505, 20, 45, false}, {506, 20, 45, false}, {507, 20, 45, true},
		},
		"busy":       {{100, 20, 45, false}, {200, 20, 45, false}, {300, 20, 45, false}, {400, 20, 45, false}},
		"no garbage": {{500, 20, 24, false}, {500, 20, 24, false}, {500, 20, 24, false}},
		// An amount that is much for a small process is little for a large one.
		"large": {{9000, 4000, 8000, false}, {9050, 4000, 8000, false}, {9100, 4000, 8000, true}},
	} {
		var trim trimmer
		for i, l := range looks {
			if got := trim.due(l.allocated*mib, l.live*mib, l.held*mib); got != l.due {
				t.Errorf("%s: look %d: due %v", name, i, got)
			}
		}
	}
}
