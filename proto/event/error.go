package event

import (
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
)

// NameError is sent when a request without an id failed, or before the connection is closed for good.
const NameError = "error"

var failure = ServerDef{Name: NameError, Class: wire.ClassReliable, Payload: serverEvent[Failure]}

// Failure is the error object as a client gets it.
type Failure struct {
	Success      False     `json:"success"`
	Code         code.Code `json:"error"`
	Message      string    `json:"message"`    // for people
	StatusCode   int       `json:"statusCode"` // HTTP's
	Timestamp    Time      `json:"timestamp"`
	RetryAfterMs uint64    `json:"retryAfterMs,omitempty"` // with RATE_LIMITED: how long to wait before the same request
	Event        string    `json:"event,omitempty"`        // the client event that failed, if known
	Ref          string    `json:"ref"`                    // identifies the line in the server's log
}

// Err is the error that the object stands for.
func (f *Failure) Err() *code.Error {
	return &code.Error{
		Code: f.Code, Message: f.Message, Event: f.Event, Ref: f.Ref,
		RetryAfter: time.Duration(f.RetryAfterMs) * time.Millisecond,
	}
}

// AppendError appends the error object of the contract.
func AppendError(dst []byte, e *code.Error, now Time) []byte {
	f := Failure{
		Code: e.Code, Message: e.Message, StatusCode: e.Code.Status(), Timestamp: now,
		RetryAfterMs: code.Millis(e.RetryAfter), Event: e.Event, Ref: e.Ref,
	}
	return f.AppendJSON(dst)
}
