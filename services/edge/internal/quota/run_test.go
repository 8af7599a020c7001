package quota_test

import (
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/confab-chat/confab/services/edge/internal/quota"
	"github.com/confab-chat/confab/shared/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen makes q listen until the test ends, or stop; the server knows of it when
// listen returns.
func listen(t *testing.T, q *quota.Quota, srv *natstest.Server) (stop func()) {
	t.Helper()
	nc := srv.Conn(t)
	stop, err := q.Listen(nc)
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(stop)
	t.Cleanup(stop)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return stop
}
