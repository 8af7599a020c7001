package proctest_test

import (
	"testing"

	"github.com/confab-chat/confab/tools/internal/proc"
)

func TestMain(m *testing.M) { proc.Main(m) }
