package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds the four services and nats-server into dir, as task build does. root is the
// workspace.
func Build(ctx context.Context, root, dir string) error {
	for _, b := range []struct{ module, pkg, name string }{
		{"services/edge", "./cmd/edge", "edge"}, {"services/room", "./cmd/room", "room"},
		{"services/ratelimit", "./cmd/ratelimit", "ratelimit"}, {"services/monitor", "./cmd/monitor", "monitor"},
		{"tools", "github.com/nats-io/nats-server/v2", "nats-server"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=testbed",
			"-o", filepath.Join(dir, b.name), b.pkg)
		cmd.Dir = filepath.Join(root, b.module)
		cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", b.name, err, out)
		}
	}
	return nil
}
