package wire

import (
	"time"

	"github.com/confab-chat/confab/proto/code"
)

func faultOf(err error) Fault {
	if err == nil {
		return Fault{}
	}
	e := code.From(err)
	return Fault{Code: string(e.Code), Message: e.Message, RetryAfterMs: uint64(e.RetryAfter.Milliseconds())}
}

func (f *Fault) err() *code.Error {
	if f.Code == "" {
		return nil
	}
	return &code.Error{
		Code: code.Code(f.Code), Message: f.Message,
		RetryAfter: time.Duration(f.RetryAfterMs) * time.Millisecond,
	}
}
