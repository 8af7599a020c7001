package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/api"
)

// instance is one instance name. Its processes follow each other over restarts.
type instance struct {
	id
	current *process   // the one that counts; nil before the first heartbeat
	others  []*process // earlier ones, and ones without a heartbeat so far; at most maxOthers
}

// maxOthers bounds the remembered processes of one name. They are kept so that their
// late messages are not counted twice. A message can be late by far less time than four
// restarts take.
const maxOthers = 4

// process is one run of an instance, identified by its generation.
type process struct {
	gen      uint64
	beat     *wire.Heartbeat // newest by Seq; nil: none received
	lastSeen time.Time       // when the newest message of either kind was received
	lost     uint64          // heartbeats missing in the sequence

	telemetry   *wire.Telemetry // newest by Seq; nil: none received
	telemetryAt time.Time
}

// process returns the process with gen, which it adds if it is new.
func (in *instance) process(gen uint64) *process {
	if in.current != nil && in.current.gen == gen {
		return in.current
	}
	if i := slices.IndexFunc(in.others, func(p *process) bool { return p.gen == gen }); i >= 0 {
		return in.others[i]
	}
	p := &process{gen: gen}
	in.others = append(in.others, p)
	if len(in.others) > maxOthers {
		in.others = slices.Delete(in.others, 0, 1)
	}
	return p
}

// promote makes p, which has just sent a heartbeat, the current process if it is the
// newest, and reports whether the current process changed. A heartbeat of a process with
// an older start is late and ignored, unless the current process is silent: then the
// host's clock was set back between the two starts.
func (in *instance) promote(now time.Time, p *process) bool {
	was := in.current
	if was == p || was != nil && !newer(p.beat, was.beat) && now.Sub(was.lastSeen) <= StaleAfter {
		return false
	}
	in.current = p
	in.others = slices.DeleteFunc(in.others, func(o *process) bool { return o == p })
	if was != nil {
		in.others = append(in.others, was)
	}
	return true
}

func newer(a, b *wire.Heartbeat) bool {
	return cmp.Or(cmp.Compare(a.StartedMs, b.StartedMs), cmp.Compare(a.Gen, b.Gen)) > 0
}

// restarted reports whether more than one process of this name is known.
func (in *instance) restarted() bool {
	return len(in.others) > 1 || in.current != nil && len(in.others) == 1
}

// listed reports whether in appears in the lists at now. It does not once it has reported
// that it stopped, or has been silent for DropAfter.
func (f *Fleet) listed(now time.Time, in *instance) bool {
	p := in.current
	return p != nil && p.beat.State != wire.StateStopped && f.silence(now, p) <= DropAfter
}

// dead reports whether a listed instance has been silent for so long that its load does not
// count.
func (f *Fleet) dead(now time.Time, in *instance) bool { return f.silence(now, in.current) > DeadAfter }

// silence returns for how long nothing was received from p although the monitor was connected.
func (f *Fleet) silence(now time.Time, p *process) time.Duration {
	if !f.disconnectedAt.IsZero() {
		return 0
	}
	since := p.lastSeen
	if f.reconnectedAt.After(since) {
		since = f.reconnectedAt
	}
	return now.Sub(since)
}

// status returns the status of a listed instance.
func (in *instance) status(now time.Time) api.Status {
	p := in.current
	switch silence := now.Sub(p.lastSeen); {
	case silence > MissingAfter:
		return api.StatusMissing
	case silence > StaleAfter:
		return api.StatusStale
	}
	switch p.beat.State {
	case wire.StateStarting:
		return api.StatusStarting
	case wire.StateOK:
		return api.StatusOK
	case wire.StateDraining:
		return api.StatusDraining
	}
	return api.StatusDegraded // reported as degraded, or a state that this release does not know
}

// lastSeen returns when the newest message of any process of this name was received.
func (in *instance) lastSeen() time.Time {
	var last time.Time
	for _, p := range append(in.others[:len(in.others):len(in.others)], in.current) {
		if p != nil && p.lastSeen.After(last) {
			last = p.lastSeen
		}
	}
	return last
}

// list returns every listed instance, by service in the order of services (unknown ones
// last), then by name.
func (f *Fleet) list(now time.Time) []*instance {
	list := make([]*instance, 0, len(f.instances))
	for _, in := range f.instances {
		if f.listed(now, in) {
			list = append(list, in)
		}
	}
	slices.SortFunc(list, func(a, b *instance) int {
		return cmp.Or(cmp.Compare(rank(a.service), rank(b.service)),
			cmp.Compare(a.service, b.service), cmp.Compare(a.instance, b.instance))
	})
	return list
}

func rank(service string) int {
	if i := slices.Index(services[:], service); i >= 0 {
		return i
	}
	return len(services)
}
