package code

import (
	"errors"
	"fmt"
	"time"
)

// Error is a refusal on its way to a client. Only errors that a peer acts on
// get this type; anything else becomes [Internal] at the edge and its text
// stays in the log.
type Error struct {
	Code       Code
	Message    string        // for people; says nothing about our insides
	RetryAfter time.Duration // with RateLimited: when the same act is allowed again
	Event      string        // the client event that failed, when known
	Ref        string        // finds the log line
}

// New returns an error with a formatted message.
func New(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Is makes errors.Is(err, &Error{Code: c}) compare codes.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code && t.Message == ""
}

// Of returns the code of err: that of the *Error inside it, or Internal.
func Of(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// From returns the *Error inside err. Any other err becomes an [Internal] that
// says nothing of it: its text is for the log. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: Internal, Message: "internal error"}
}
