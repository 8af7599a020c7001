package log

import "errors"

var (
	// ErrConflict: the append was not stored, because another came first or is under way.
	ErrConflict = errors.New("another record came first")
	// ErrUncertain: nobody knows whether the append was stored, or will be.
	ErrUncertain = errors.New("outcome unknown")
	// ErrRefused: the log does not take or give anything now (disk full, no leader).
	ErrRefused = errors.New("refused by the log")
	// ErrNotFound: there is no such record, or no longer.
	ErrNotFound = errors.New("no such record")
	// ErrEnd ends a Range: nothing more was asked for, or there is nothing more.
	ErrEnd = errors.New("end of range")
	// ErrMismatch: the streams in NATS were made with settings that cannot be
	// changed any more and differ from this configuration.
	ErrMismatch = errors.New("log settings differ from those it was created with")
)
