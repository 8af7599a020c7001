package limit

import (
	"slices"
	"time"

	"github.com/confab-chat/confab/proto/wire"
)

// maxRuns bounds the runs of one action in a message: 12 KB, whatever the limit.
const maxRuns = 1024

// Actions lists the actions with limits of their own.
func Actions() []wire.Action {
	return []wire.Action{wire.ActionMessage, wire.ActionJoin, wire.ActionTyping, wire.ActionResume}
}

// Pack returns everything granted to a user, for another process. Ages are rounded down to
// milliseconds, or coarser if there are very many: a grant counts a little longer there,
// never shorter.
func (t *Table) Pack(now time.Time, user string) []wire.Grants {
	var all []wire.Grants
	for _, a := range Actions() {
		if ages := t.Snapshot(nil, now, Key{user, a}); len(ages) > 0 {
			all = append(all, wire.Grants{Action: a, Runs: runs(ages)})
		}
	}
	return all
}

// Unpack replaces the logs of a user with what Pack returned.
func (t *Table) Unpack(now time.Time, user string, all []wire.Grants) {
	t.Forget(user)
	for i := range all {
		t.Restore(now, Key{user, all[i].Action}, ages(all[i].Runs))
	}
}

// Add merges what Pack returned into the logs of a user.
func (t *Table) Add(now time.Time, user string, all []wire.Grants) {
	for i := range all {
		t.merge(now, Key{user, all[i].Action}, ages(all[i].Runs))
	}
}

// AddNewer merges into the logs of a user those grants of another table that are at most age old.
func (t *Table) AddNewer(now time.Time, user string, from *Table, age time.Duration) {
	for _, a := range Actions() {
		key := Key{user, a}
		ages := slices.DeleteFunc(from.Snapshot(nil, now, key), func(d time.Duration) bool { return d > age })
		if len(ages) > 0 {
			t.merge(now, key, ages)
		}
	}
}

// merge adds ages to the log of a key.
func (t *Table) merge(now time.Time, key Key, ages []time.Duration) {
	t.Restore(now, key, append(t.Snapshot(nil, now, key), ages...))
}

// Users returns the users with a log, each once.
func (t *Table) Users() map[string]struct{} {
	users := make(map[string]struct{})
	for _, s := range t.slots {
		users[s.key.User] = struct{}{}
	}
	return users
}

// Forget drops all logs of a user.
func (t *Table) Forget(user string) {
	for _, a := range Actions() {
		t.Drop(Key{user, a})
	}
}

func runs(ages []time.Duration) []wire.Run {
	for step := time.Millisecond; ; step *= 2 {
		var list []wire.Run
		for _, age := range ages {
			ms := uint64(age.Truncate(step).Milliseconds())
			if n := len(list); n > 0 && list[n-1].AgeMs == ms {
				list[n-1].Count++
				continue
			}
			list = append(list, wire.Run{AgeMs: ms, Count: 1})
		}
		if len(list) <= maxRuns {
			return list
		}
	}
}

func ages(list []wire.Run) []time.Duration {
	var all []time.Duration
	for _, r := range list {
		n := int(min(r.Count, maxGrants-uint64(len(all))))
		age := time.Duration(min(r.AgeMs, uint64(Window/time.Millisecond))) * time.Millisecond
		all = append(all, slices.Repeat([]time.Duration{age}, n)...)
	}
	return all
}
