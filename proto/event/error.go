package event

import (
	"time"

	"github.com/confab-chat/confab/proto/code"
)

// NameError is sent when a request that asked for no reply has failed, or the connection is about to be closed for good.
const NameError = "error"

// Failure is the error object as a client gets it.
type Failure struct {
	Success      bool      `json:"success"`
	Code         code.Code `json:"error"`
	Message      string    `json:"message"`    // for people
	StatusCode   int       `json:"statusCode"` // HTTP's
	Timestamp    Time      `json:"timestamp"`
	RetryAfterMs int64     `json:"retryAfterMs,omitempty"` // with RATE_LIMITED: when the same act is allowed again
	Event        string    `json:"event,omitempty"`        // the client event that failed, when it is known
	Ref          string    `json:"ref"`                    // finds the line in the server's log
}

// Err is the error that the object stands for.
func (f *Failure) Err() *code.Error {
	return &code.Error{
		Code: f.Code, Message: f.Message, Event: f.Event, Ref: f.Ref,
		RetryAfter: time.Duration(f.RetryAfterMs) * time.Millisecond,
	}
}

// AppendError appends the error object of the contract. A RetryAfter is rounded
// up to a whole millisecond, so that nobody comes back too early.
func AppendError(dst []byte, e *code.Error, now Time) []byte {
	dst = appendText(dst, `{"success":false,"error":`, string(e.Code))
	dst = appendText(dst, `,"message":`, e.Message)
	dst = appendUint(dst, `,"statusCode":`, uint64(e.Code.Status()))
	dst = appendTime(dst, `,"timestamp":`, now)
	if e.RetryAfter > 0 {
		dst = appendUint(dst, `,"retryAfterMs":`, uint64((e.RetryAfter+time.Millisecond-1)/time.Millisecond))
	}
	if e.Event != "" {
		dst = appendText(dst, `,"event":`, e.Event)
	}
	dst = appendText(dst, `,"ref":`, e.Ref)
	return append(dst, '}')
}
