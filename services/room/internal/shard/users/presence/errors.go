package presence

import "errors"

var (
	// ErrStatus is returned for a status that is not online, away or busy.
	ErrStatus = errors.New("presence: unknown status")

	// ErrOffline is returned when a user sets a status and no edge has reported a connection of
	// theirs. The report may still arrive, so the caller may retry.
	ErrOffline = errors.New("presence: user is not connected")
)
