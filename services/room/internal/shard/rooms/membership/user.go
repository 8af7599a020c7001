package membership

import "github.com/confab-chat/confab/proto/wire"

// User returns the member with that id; false when there is none.
func (r *Room) User(id string) (wire.User, bool) {
	m := r.members.find(id)
	if m == nil {
		return wire.User{}, false
	}
	return m.user, true
}
