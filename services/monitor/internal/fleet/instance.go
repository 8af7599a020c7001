package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/monitor/internal/api"
)

// instance is a name that processes go by, one after the other.
type instance struct {
	id
	current *life   // the one that counts; nil until a heartbeat came
	others  []*life // before it, or not yet known to be after it; at most maxOthers
}

// maxOthers bounds the remembered processes of one name. They are remembered so
// that late words of theirs are not counted twice; four restarts within the
// time a message can be late are plenty.
const maxOthers = 4

// life is one process: an instance from start to end.
type life struct {
	gen   uint64
	beat  *wire.Heartbeat // newest by Seq; nil: none came
	heard time.Time       // when the newest word of either kind came
	lost  uint64          // heartbeats missing in the row

	told   *wire.Telemetry // newest by Seq; nil: none came
	toldAt time.Time
}

// life is the process with gen, remembered from now on.
func (in *instance) life(gen uint64) *life {
	if in.current != nil && in.current.gen == gen {
		return in.current
	}
	if i := slices.IndexFunc(in.others, func(l *life) bool { return l.gen == gen }); i >= 0 {
		return in.others[i]
	}
	l := &life{gen: gen}
	in.others = append(in.others, l)
	if len(in.others) > maxOthers {
		in.others = slices.Delete(in.others, 0, 1)
	}
	return l
}

// elect makes l, just heard, the current process when it is the newer one. A
// process with an older start is late news, unless the current one is silent:
// then the clock has been set back between the two. It reports a change.
func (in *instance) elect(now time.Time, l *life) bool {
	was := in.current
	if was == l || was != nil && !newer(l.beat, was.beat) && now.Sub(was.heard) <= StaleAfter {
		return false
	}
	in.current = l
	in.others = slices.DeleteFunc(in.others, func(o *life) bool { return o == l })
	if was != nil {
		in.others = append(in.others, was)
	}
	return true
}

func newer(a, b *wire.Heartbeat) bool {
	return cmp.Or(cmp.Compare(a.StartedMs, b.StartedMs), cmp.Compare(a.Gen, b.Gen)) > 0
}

// restarted tells whether more than one process of this name was heard.
func (in *instance) restarted() bool {
	return len(in.others) > 1 || in.current != nil && len(in.others) == 1
}

// listed tells whether in stands in the lists at now: not once it has said that
// it stopped, not when it has been silent for too long.
func (f *Fleet) listed(now time.Time, in *instance) bool {
	l := in.current
	if l == nil || l.beat.State == wire.StateStopped {
		return false
	}
	since := l.heard
	if f.reached.After(since) {
		since = f.reached
	}
	return !f.cutOff.IsZero() || now.Sub(since) <= DropAfter
}

// status of a listed instance.
func (in *instance) status(now time.Time) api.Status {
	l := in.current
	switch silence := now.Sub(l.heard); {
	case silence > MissingAfter:
		return api.StatusMissing
	case silence > StaleAfter:
		return api.StatusStale
	}
	switch l.beat.State {
	case wire.StateStarting:
		return api.StatusStarting
	case wire.StateOK:
		return api.StatusOK
	case wire.StateDraining:
		return api.StatusDraining
	}
	return api.StatusDegraded // said so, or in a word that this release does not know
}

// heard is when the newest word of any process of this name came.
func (in *instance) heard() time.Time {
	var last time.Time
	for _, l := range append(in.others[:len(in.others):len(in.others)], in.current) {
		if l != nil && l.heard.After(last) {
			last = l.heard
		}
	}
	return last
}

// list is every listed instance, by service in the order of services (unknown
// ones last), then by name.
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
