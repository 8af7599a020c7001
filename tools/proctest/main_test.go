package proctest_test

import (
	"testing"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
)

func TestMain(m *testing.M) {
	eventually.Parallel(6)
	clustertest.Main(m)
}
