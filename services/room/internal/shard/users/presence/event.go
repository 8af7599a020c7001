package presence

import "github.com/confab-chat/confab/proto/wire"

// Kind is what an Event tells of its user.
type Kind uint8

const (
	Online  Kind = iota + 1 // userOnline
	Offline                 // userOffline
	Update                  // presenceUpdate; the user's own connections hear it too
)

// Event is something that others must hear of a user. Its slices are shared with
// the Shard and must not be changed.
//
// With ScopeAll, Rooms and Known are nil: every other user hears it. With
// ScopeRooms it goes to the members of Rooms, each once, but not to those who
// are also in a room of Known: they have heard. So the list that travels in
// wire.Broadcast.Rooms is Known followed by Rooms, and copies go to Rooms only.
// An Update of a user in no room has no Rooms and is told to the user alone.
type Event struct {
	Kind   Kind
	User   wire.User
	Status string // StatusOffline with Offline
	Custom string
	Rooms  []string // sorted
	Known  []string // sorted, with Online only
}

// What Status may say. A user can set all but StatusOffline.
const (
	StatusOnline  = "online"
	StatusAway    = "away"
	StatusBusy    = "busy"
	StatusOffline = "offline"
)
