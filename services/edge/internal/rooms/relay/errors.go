package relay

import (
	"errors"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
)

var (
	// ErrUnavailable means that a command got no answer before its deadline.
	ErrUnavailable = errors.New("no answer from the owner in time")
	// ErrBusy means that too many commands wait for the same owner.
	ErrBusy = errors.New("too many commands wait for the owner")
	// ErrStopped means that the relay ended before the command was answered.
	ErrStopped = errors.New("relay has stopped")
	// ErrReply means that an owner's answer is malformed.
	ErrReply = errors.New("malformed reply")
)

// Refusal returns the error that a client gets for err, which comes from this package or
// from an owner.
func Refusal(err error) *code.Error {
	if e, ok := errors.AsType[*code.Error](err); ok {
		return e
	}
	if errors.Is(err, ErrReply) {
		return code.New(code.Internal, "internal error")
	}
	return code.New(code.Unavailable, "the service is not available at the moment: try again")
}

// faulty is a reply that starts with a Fault.
type faulty interface {
	wire.Message
	Err() *code.Error
}

// Unpack decodes an owner's answer into m. It returns err if the request failed,
// ErrReply, or the *code.Error with which the owner refuses.
func Unpack(reply []byte, err error, m faulty) error {
	if err != nil {
		return err
	}
	if wire.Unmarshal(reply, m) != nil {
		return ErrReply
	}
	if refused := m.Err(); refused != nil {
		return refused
	}
	return nil
}
