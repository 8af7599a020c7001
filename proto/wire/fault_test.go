package wire_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
)

func TestFault(t *testing.T) {
	t.Parallel()
	limited := &code.Error{Code: code.RateLimited, Message: "too fast", RetryAfter: 1500 * time.Millisecond}
	for name, c := range map[string]struct {
		err  error
		want *code.Error
	}{
		"success": {nil, nil},
		"refusal": {limited, limited},
		"wrapped": {fmt.Errorf("take: %w", limited), limited},
		"rounded": {&code.Error{Code: code.RateLimited, RetryAfter: 1}, &code.Error{Code: code.RateLimited, RetryAfter: time.Millisecond}},
		"unknown": {errors.New("dial tcp 10.0.0.1"), &code.Error{Code: code.Internal, Message: "internal error"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var reply wire.Done
			if err := wire.Unmarshal(wire.Marshal(&wire.Done{Fault: wire.FaultOf(c.err)}), &reply); err != nil {
				t.Fatal(err)
			}
			if got := reply.Err(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestRecordLast(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 16, 64} {
		if got, want := record(n).Last(), uint64(1000+n); got != want {
			t.Errorf("%d entries: last %d, want %d", n, got, want)
		}
	}
}
