package policy_test

import (
	"testing"
	"time"

	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/ratelimit/internal/policy"
)

func TestOf(t *testing.T) {
	t.Parallel()
	limits := policy.Limits{Messages: 1, Joins: 2, Typing: 3, Resume: 4}
	for action, want := range map[wire.Action]int{
		wire.ActionMessage: 1, wire.ActionJoin: 2, wire.ActionTyping: 3, wire.ActionResume: 4,
	} {
		if got, ok := limits.Of(action); got != want || !ok {
			t.Errorf("action %d: %d, %v; want %d", action, got, ok, want)
		}
	}
	for _, action := range []wire.Action{0, 5, 1 << 40} {
		if _, ok := limits.Of(action); ok {
			t.Errorf("action %d is known", action)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	limits := policy.Limits{Messages: 1, Joins: 2, Typing: 3, Resume: 4}
	want := wire.LimitConfig{WindowMs: 60_000, Messages: 1, Joins: 2, Typing: 3}
	if got := *limits.Config(time.Minute); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
