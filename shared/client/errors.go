package client

import (
	"errors"
	"fmt"

	"github.com/confab-chat/confab/proto/code"
)

// ErrLost is returned when the connection was lost before the reply arrived. The request
// may or may not have been carried out.
var ErrLost = errors.New("connection lost before the reply")

// ErrUncertain is returned when a message was refused after an earlier attempt had ended
// without a reply: that attempt may have stored the message.
var ErrUncertain = errors.New("an earlier attempt's outcome is unknown")

// CloseError holds the code and reason with which the server closed a connection.
type CloseError struct {
	Code   code.Close
	Reason string
}

// Error implements error.
func (e *CloseError) Error() string {
	return fmt.Sprintf("closed by the server: %d %s", e.Code, e.Reason)
}

// unknown reports whether a failed request may nevertheless have been carried out.
func unknown(err error) bool {
	if errors.Is(err, ErrLost) {
		return true
	}
	refused, ok := errors.AsType[*code.Error](err)
	return ok && refused.Code.Unknown()
}
