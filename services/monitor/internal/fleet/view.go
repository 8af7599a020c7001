package fleet

import (
	"fmt"
	"time"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/api"
)

// view is the summary of the instances that Health and Stats share.
type view struct {
	list     []*instance
	missing  []string // services without a live instance, and missing instances
	notes    []string // for people: why something is incomplete or unhealthy
	complete bool     // every instance that should report does
	edges    int      // live ones; also rooms
	rooms    int
	healthy  bool // all instances are live and report that they are ok
	warm     bool // received messages for long enough to know what is missing
	stores   bool // the message log of some shard stores, as far as its owner knows
}

// view returns the summary at now.
func (f *Fleet) view(now time.Time) view {
	v := view{
		list: f.list(now), missing: []string{}, notes: []string{},
		complete: true, healthy: true, warm: now.Sub(f.connectedSince()) >= WarmUp,
	}
	if !v.warm {
		v.unknown("the monitor has just connected and may not have heard from every instance yet")
	}
	if !f.disconnectedAt.IsZero() {
		v.fault("the monitor has been disconnected from NATS since %s", f.disconnectedAt.UTC().Format(time.RFC3339))
	}
	if f.refused {
		v.fault("more than %d instances: some are not included", maxInstances)
	}
	live := f.addInstances(now, &v)
	for _, service := range services {
		switch {
		case live[service] > 0:
		case v.warm:
			v.missing = append(v.missing, service)
			v.fault("%s: no live instance", service)
		default:
			v.healthy = false
		}
	}
	v.edges, v.rooms = live[wire.ServiceEdge], live[wire.ServiceRoom]
	v.stores = f.stores(now, v.list)
	for _, service := range sharded {
		since, orphans := f.orphans[service]
		if orphans && live[service] > 0 && now.Sub(since) > MissingAfter {
			v.fault("%s: %d shards have no live owner", service,
				subject.Shards-f.shards(now, v.list, service).owned)
		}
	}
	return v
}

// addInstances adds notes about silent and unhealthy instances, and returns the number
// of live instances of each service.
func (f *Fleet) addInstances(now time.Time, v *view) map[string]int {
	live := make(map[string]int, len(services))
	for _, in := range v.list {
		status, name := in.status(now), in.service+"/"+in.id.instance
		switch {
		case status == api.StatusMissing:
			v.missing = append(v.missing, name)
			note := name + ": missing"
			if e := in.current.beat.Edge; e != nil && f.dead(now, in) {
				note += fmt.Sprintf("; its %d connections count as closed", e.Connections)
			}
			v.fault("%s", note)
			continue
		case status == api.StatusStale:
			v.fault("%s: stale", name)
		case status != api.StatusOK:
			v.healthy = false
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

// unknown adds a note that the summary is incomplete.
func (v *view) unknown(note string) {
	v.complete = false
	v.notes = append(v.notes, note)
}

// fault adds a note that something is missing.
func (v *view) fault(format string, args ...any) {
	v.healthy = false
	v.unknown(fmt.Sprintf(format, args...))
}
