package relay

import "github.com/confab-chat/confab/proto/wire"

const (
	// maxUnindexed is how many users a roster looks through before it keeps an index: most
	// rooms are small, and a map costs more than all of their users.
	maxUnindexed = 16

	// rosterGrowth is by how much a roster without index grows: twice as large, it would
	// be empty by half in most rooms.
	rosterGrowth = 2
)

// roster counts the connections of each user in one room on this edge.
type roster struct {
	list  []rosterEntry
	index map[string]int32 // into list; nil while list is short
}

type rosterEntry struct {
	user  *wire.User
	conns int32
	known bool // an owner has counted the user
}

// find returns the index of a user in list, -1 if the user is not there.
func (r *roster) find(id string) int {
	if r.index != nil {
		if i, ok := r.index[id]; ok {
			return int(i)
		}
		return -1
	}
	for i := range r.list {
		if r.list[i].user.ID == id {
			return i
		}
	}
	return -1
}

// add counts one more connection of u; first reports that it is the user's first.
func (r *roster) add(u *wire.User) (first bool) {
	if i := r.find(u.ID); i >= 0 {
		r.list[i].conns++
		return false
	}
	if n := len(r.list); n == cap(r.list) && n < maxUnindexed {
		r.list = append(make([]rosterEntry, 0, n+rosterGrowth), r.list...)
	}
	r.list = append(r.list, rosterEntry{user: u, conns: 1})
	switch {
	case r.index != nil:
		r.index[u.ID] = int32(len(r.list) - 1)
	case len(r.list) > maxUnindexed:
		r.index = make(map[string]int32, 2*len(r.list))
		for i := range r.list {
			r.index[r.list[i].user.ID] = int32(i)
		}
	}
	return true
}

// remove counts one connection less. It returns the user's entry, and whether that was
// the user's last connection.
func (r *roster) remove(id string) (was rosterEntry, last bool) {
	i := r.find(id)
	if i < 0 {
		return rosterEntry{}, false
	}
	if r.list[i].conns--; r.list[i].conns > 0 {
		return r.list[i], false
	}
	was = r.list[i]
	end := len(r.list) - 1
	if i != end {
		r.list[i] = r.list[end]
		if r.index != nil {
			r.index[r.list[i].user.ID] = int32(i)
		}
	}
	r.list[end] = rosterEntry{}
	r.list = r.list[:end]
	if delete(r.index, id); end == 0 {
		r.list, r.index = nil, nil
	}
	return was, true
}
