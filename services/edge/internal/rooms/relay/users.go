package relay

import (
	"hash/maphash"

	"github.com/confab-chat/confab/proto/subject"
)

// leastSlots is the size of a userTable with one user. A power of two.
const leastSlots = 8

// userTable are the users of one shard by id: a hash table of pointers with linear
// probing, which takes a third of a map's memory. It grows all at once: that is why
// each shard has its own. The zero value is empty.
type userTable struct {
	seed  maphash.Seed
	slots []*user // nil, or a power of two of them, of which at most three quarters are used
	n     int
}

// user is somebody who is here, nil when they are not.
func (in *intake) user(id string) *user { return in.users[subject.Shard(id)].find(id) }

func (t *userTable) find(id string) *user {
	if t.n == 0 {
		return nil
	}
	return t.slots[t.place(id)]
}

// add puts u, who is not there, into the table.
func (t *userTable) add(u *user) {
	if t.n++; 4*t.n > 3*len(t.slots) {
		t.resize(max(leastSlots, 2*len(t.slots)))
	}
	t.slots[t.place(u.user.ID)] = u
}

// remove takes u, who is there, out. Those who stand behind u because it stood in their
// way move up.
func (t *userTable) remove(u *user) {
	hole := t.place(u.user.ID)
	t.slots[hole] = nil
	t.n--
	for i := t.next(hole); t.slots[i] != nil; i = t.next(i) {
		if wanted := t.home(t.slots[i].user.ID); t.distance(wanted, i) >= t.distance(hole, i) {
			t.slots[hole], t.slots[i] = t.slots[i], nil
			hole = i
		}
	}
	if 8*t.n < len(t.slots) && len(t.slots) > leastSlots {
		t.resize(len(t.slots) / 2)
	}
}

// list is everybody, in no particular order.
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
		t.seed = maphash.MakeSeed() // nobody may choose ids that collide
	}
	t.slots = make([]*user, slots)
	for _, u := range old {
		if u != nil {
			t.slots[t.place(u.user.ID)] = u
		}
	}
}

// place is the slot of the user with that id, or where it would come.
func (t *userTable) place(id string) int {
	i := t.home(id)
	for t.slots[i] != nil && t.slots[i].user.ID != id {
		i = t.next(i)
	}
	return i
}

// home is the slot where an id comes when nobody is in its way.
func (t *userTable) home(id string) int {
	return int(maphash.String(t.seed, id) & uint64(len(t.slots)-1))
}

func (t *userTable) next(i int) int { return (i + 1) & (len(t.slots) - 1) }

// distance is how far it is from one slot on to another, around the end.
func (t *userTable) distance(from, to int) int { return (to - from) & (len(t.slots) - 1) }
