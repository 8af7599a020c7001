package partition

import "errors"

var (
	// ErrOptions is returned by New for invalid options.
	ErrOptions = errors.New("partition: wrong options")
	// ErrRan is returned by a second Run of a Member.
	ErrRan = errors.New("partition: member has run already")

	errNotConnected = errors.New("not connected to nats")
)
