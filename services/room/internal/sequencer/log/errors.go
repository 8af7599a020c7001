package log

import "errors"

var (
	// ErrConflict: the append was not stored, because another one came first or is under way.
	ErrConflict = errors.New("another record came first")
	// ErrUncertain: the append may be stored, now or later, or not.
	ErrUncertain = errors.New("outcome unknown")
	// ErrRefused: the log cannot store or read now (disk full, no leader).
	ErrRefused = errors.New("refused by the log")
	// ErrNotFound: the record does not exist, or no longer.
	ErrNotFound = errors.New("no such record")
	// ErrNoStream: there is no stream with that name.
	ErrNoStream = errors.New("no such stream")
	// ErrEnd ends a Range: the batch is complete, or the room has no more records.
	ErrEnd = errors.New("end of range")
	// ErrMismatch: the streams were created with settings that cannot be changed and differ
	// from this configuration.
	ErrMismatch = errors.New("log settings differ from those it was created with")
)
