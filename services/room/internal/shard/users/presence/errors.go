package presence

import "errors"

var (
	// ErrStatus is returned when a status is none of online, away, busy.
	ErrStatus = errors.New("presence: unknown status")

	// ErrOffline is returned when a user sets a status and no edge has said that
	// they are connected: it may yet, so this is worth repeating.
	ErrOffline = errors.New("presence: user is not connected")
)
