package proctest_test

import (
	"testing"

	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }
