package relay

import (
	"hash/maphash"

	"github.com/confab-chat/confab/proto/subject"
)

// minSlots is the size of a userTable with one user. A power of two.
const minSlots = 8

// userTable holds the users of one shard by id. It is a hash table of pointers with linear
// probing, and takes a third of a map's memory. It grows in one step, so each shard has
// its own. The zero value is empty.
type userTable struct {
	seed  maphash.Seed
	slots []*user // nil, or a power of two of slots, at most three quarters of them in use
	n     int
}

// user returns the user with that id, nil if there is none.
func (in *intake) user(id string) *user { return in.users[subject.Shard(id)].find(id) }

func (t *userTable) find(id string) *user {
	if t.n == 0 {
		return nil
	}
	return t.slots[t.slotOf(id)]
}

// add inserts u, which must not be in the table.
func (t *userTable) add(u *user) {
	if t.n++; 4*t.n > 3*len(t.slots) {
		t.resize(max(minSlots, 2*len(t.slots)))
	}
	t.slots[t.slotOf(u.user.ID)] = u
}

// remove removes u, which must be in the table. Users behind it that it had displaced
// move up.
func (t *userTable) remove(u *user) {
	hole := t.slotOf(u.user.ID)
	t.slots[hole] = nil
	t.n--
	for i := t.next(hole); t.slots[i] != nil; i = t.next(i) {
		if wanted := t.preferredSlot(t.slots[i].user.ID); t.distance(wanted, i) >= t.distance(hole, i) {
			t.slots[hole], t.slots[i] = t.slots[i], nil
			hole = i
		}
	}
	if 8*t.n < len(t.slots) && len(t.slots) > minSlots {
		t.resize(len(t.slots) / 2)
	}
}

// list returns all users, in no particular order.
func (t *userTable) list() []*user {
	all := make([]*user, 0, t.n)
	for _, u := range t.slots {
		if u != nil {
			all = append(all, u)
		}
	}
	return all
}

func (t *userTable) resize(slots int) {
	old := t.slots
	if old == nil {
		t.seed = maphash.MakeSeed() // random, so that ids cannot be chosen to collide
	}
	t.slots = make([]*user, slots)
	for _, u := range old {
		if u != nil {
			t.slots[t.slotOf(u.user.ID)] = u
		}
	}
}

// slotOf returns the slot of the user with that id, or the free slot where it belongs.
func (t *userTable) slotOf(id string) int {
	i := t.preferredSlot(id)
	for t.slots[i] != nil && t.slots[i].user.ID != id {
		i = t.next(i)
	}
	return i
}

// preferredSlot returns the slot of an id in an empty table.
func (t *userTable) preferredSlot(id string) int {
	return int(maphash.String(t.seed, id) & uint64(len(t.slots)-1))
}

func (t *userTable) next(i int) int { return (i + 1) & (len(t.slots) - 1) }

// distance returns the number of slots from one to another, wrapping around the end.
func (t *userTable) distance(from, to int) int { return (to - from) & (len(t.slots) - 1) }
