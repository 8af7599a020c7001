package relay

import (
	"errors"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
)

var (
	// ErrUnavailable is given for a command that was not answered until its deadline.
	ErrUnavailable = errors.New("no answer from the owner in time")
	// ErrBusy is given for a command that finds too many others waiting for the same owner.
	ErrBusy = errors.New("too many commands wait for the owner")
	// ErrStopped is given for what is still open when the relay ends.
	ErrStopped = errors.New("relay has stopped")
	// ErrReply is given when an owner's answer cannot be understood.
	ErrReply = errors.New("malformed reply")
)

// Refusal is what a client is told for err, of this package or of an owner.
func Refusal(err error) *code.Error {
	if e, ok := errors.AsType[*code.Error](err); ok {
		return e
	}
	if errors.Is(err, ErrReply) {
		return code.New(code.Internal, "internal error")
	}
	return code.New(code.Unavailable, "the service is not available at the moment: try again")
}

// faulty is a reply that begins with a Fault.
type faulty interface {
	wire.Message
	Err() *code.Error
}

// Unpack decodes an owner's answer into m. The error is that of the request,
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
