package wire

import (
	"time"

	"github.com/confab-chat/confab/proto/code"
)

// Fault is the refusal at the head of every reply. The zero value means success.
type Fault struct {
	Code         string `wire:"1"`
	Message      string `wire:"2"`
	RetryAfterMs uint64 `wire:"3"`
}

// FaultOf returns the Fault for the error of a service, the zero value for nil. An err
// that is not a *code.Error becomes INTERNAL without its text.
func FaultOf(err error) Fault {
	if err == nil {
		return Fault{}
	}
	e := code.From(err)
	return Fault{Code: string(e.Code), Message: e.Message, RetryAfterMs: code.Millis(e.RetryAfter)}
}

// Err returns the *code.Error that f stands for, nil on success.
func (f *Fault) Err() *code.Error {
	if f.Code == "" {
		return nil
	}
	return &code.Error{
		Code: code.Code(f.Code), Message: f.Message,
		RetryAfter: time.Duration(f.RetryAfterMs) * time.Millisecond,
	}
}
