package e2e_test

import (
	"os"
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"github.com/confab-chat/confab/shared/eventually"
)

func TestMain(m *testing.M) {
	eventually.Parallel(4)
	goleak.VerifyTestMain(m)
}

// TestContract is everything that needs no particular settings.
func TestContract(t *testing.T) { run(t, scenes(), shared()...) }

// TestContractPortable is the same over goroutines instead of epoll, as on systems
// that have none.
func TestContractPortable(t *testing.T) {
	if os.Getenv("CONFAB_TEST_LONG") == "" {
		t.Skip("slow: set CONFAB_TEST_LONG=1 (bash .ci/run does)")
	}
	run(t, scenes(), append(shared(), "CONFAB_EDGE_IO=goroutine")...)
}

// shared are settings under which tests can be in one suite. Limits are high, and
// not off, so that permits are requested. Presence is limited to shared rooms, so that
// tests do not receive each other's events.
func shared() []string {
	return []string{
		"CONFAB_LIMIT_MESSAGES=100000", "CONFAB_LIMIT_JOINS=100000", "CONFAB_LIMIT_TYPING=100000",
		"CONFAB_PRESENCE_SCOPE=rooms",
	}
}

// contract is the scenes that need no particular settings: each method is one.
type contract struct{}

// scenes returns them by name.
func scenes() map[string]func(*scene) {
	all := make(map[string]func(*scene))
	for m, play := range reflect.ValueOf(contract{}).Methods() {
		all[m.Name] = play.Interface().(func(*scene))
	}
	return all
}
