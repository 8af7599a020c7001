package fleet

import (
	"fmt"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/api"
)

// view is what Health and Stats both say of the instances.
type view struct {
	list     []*instance
	missing  []string // services without a live instance, and instances that are gone
	notes    []string // for people: why something is not complete or not well
	complete bool     // everybody who should speak is heard
	edges    int      // live ones
	rooms    int
	well     bool // all live, and none of them complains
	warm     bool // listened for long enough to know who is missing
}

// look draws the picture at now.
func (f *Fleet) look(now time.Time) view {
	v := view{
		list: f.list(now), missing: []string{}, notes: []string{},
		complete: true, well: true, warm: now.Sub(f.listening()) >= WarmUp,
	}
	if !v.warm {
		v.unknown("the monitor has just begun to listen and has not heard everybody yet")
	}
	if !f.cutOff.IsZero() {
		v.fault("the monitor is cut off from NATS since %s", f.cutOff.UTC().Format(time.RFC3339))
	}
	if f.refused {
		v.fault("more than %d instances: some are not counted", maxInstances)
	}
	live := v.instances(now)
	for _, service := range services {
		switch {
		case live[service] > 0:
		case v.warm:
			v.missing = append(v.missing, service)
			v.fault("%s: no live instance", service)
		default:
			v.well = false
		}
	}
	v.edges, v.rooms = live[wire.ServiceEdge], live[wire.ServiceRoom]
	for _, service := range sharded {
		since, orphans := f.orphans[service]
		if orphans && live[service] > 0 && now.Sub(since) > MissingAfter {
			v.fault("%s: %d shards have no live owner", service,
				subject.Shards-f.shards(now, v.list, service).owned)
		}
	}
	return v
}

// instances notes who is silent or not well, and counts who is live.
func (v *view) instances(now time.Time) map[string]int {
	live := make(map[string]int, len(services))
	for _, in := range v.list {
		status, name := in.status(now), in.service+"/"+in.id.instance
		switch {
		case status == api.StatusMissing:
			v.missing = append(v.missing, name)
			v.fault("%s: missing", name)
			continue
		case status == api.StatusStale:
			v.fault("%s: stale", name)
		case status != api.StatusOK:
			v.well = false
			note := string(status)
			if in.current.beat.Note != "" {
				note += ": " + in.current.beat.Note
			}
			v.notes = append(v.notes, name+": "+note)
		}
		live[in.service]++
	}
	return live
}

// unknown notes that something cannot be known yet.
func (v *view) unknown(note string) {
	v.complete = false
	v.notes = append(v.notes, note)
}

// fault notes that something is not there.
func (v *view) fault(format string, args ...any) {
	v.well = false
	v.unknown(fmt.Sprintf(format, args...))
}
