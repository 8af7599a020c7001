package client

import (
	"errors"
	"fmt"

	"github.com/confab-chat/confab/proto/code"
)

// ErrLost is returned when the connection was lost before the reply came: the
// request may have been carried out or not.
var ErrLost = errors.New("connection lost before the reply")

// ErrUncertain is returned when a message was refused after an earlier attempt had
// ended without an answer: that one may have been stored.
var ErrUncertain = errors.New("an earlier attempt's outcome is unknown")

// CloseError is how a server ended a connection.
type CloseError struct {
	Code   code.Close
	Reason string
}

// Error implements error.
func (e *CloseError) Error() string {
	return fmt.Sprintf("closed by the server: %d %s", e.Code, e.Reason)
}

// unknown tells whether a failed request may nevertheless have been carried out.
func unknown(err error) bool {
	if errors.Is(err, ErrLost) {
		return true
	}
	refused, ok := errors.AsType[*code.Error](err)
	return ok && refused.Code.Unknown()
}
