package presence

import "github.com/confab-chat/confab/proto/wire"

// Kind is what an Event reports about its user.
type Kind uint8

const (
	Online  Kind = iota + 1 // userOnline
	Offline                 // userOffline
	Update                  // presenceUpdate; also sent to the user's own connections
)

// Event is a change of a user's presence that others must be notified of. Its slices are
// shared with the Set and must not be changed.
//
// With ScopeAll, Rooms and Known are nil: every other user is notified. With ScopeRooms the
// members of Rooms are notified, each once, except those who are also in a room of Known: they
// were notified before. So the list in wire.Broadcast.Rooms is Known followed by Rooms, and
// copies go to Rooms only. An Update of a user in no room has no Rooms and goes to the user
// alone.
type Event struct {
	Kind   Kind
	User   wire.User
	Status string // StatusOffline with Offline
	Custom string
	Rooms  []string // sorted
	Known  []string // sorted, with Online only
}

// Values of Event.Status. A user can set all but StatusOffline.
const (
	StatusOnline  = "online"
	StatusAway    = "away"
	StatusBusy    = "busy"
	StatusOffline = "offline"
)
