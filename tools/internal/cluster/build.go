package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// OverlayEnv names a file for go build -overlay that every build uses. So a mutation needs
// neither a switch in the code nor a copy of the tree.
const OverlayEnv = "CONFAB_TEST_OVERLAY"

// Workspace returns the folder of the workspace in which this process runs.
func Workspace() (string, error) {
	out, err := exec.Command("go", "env", "GOWORK").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOWORK: %w", err)
	}
	return filepath.Dir(string(out[:max(0, len(out)-1)])), nil
}

// BuildShipped builds the four services and nats-server into the folder bin as they ship, each
// with the dependencies of its own module. root is the workspace.
func BuildShipped(ctx context.Context, root, bin string) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	for _, b := range []struct{ module, pkg, name string }{
		{"services/edge", "./cmd/edge", "edge"}, {"services/room", "./cmd/room", "room"},
		{"services/ratelimit", "./cmd/ratelimit", "ratelimit"}, {"services/monitor", "./cmd/monitor", "monitor"},
		{"tools", "github.com/nats-io/nats-server/v2", "nats-server"},
	} {
		env := []string{"GOWORK=off", "CGO_ENABLED=0"}
		if err := build(ctx, filepath.Join(root, b.module), env, "-trimpath", "-o", filepath.Join(bin, b.name), b.pkg); err != nil {
			return err
		}
	}
	return nil
}

// Build builds main packages of the workspace into the folder bin, with the flags of go test so
// that both share what is compiled. overlay is a file of [Overlay], or empty.
func Build(bin, overlay string, packages ...string) error {
	root, err := Workspace()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return err
	}
	args := []string{"-o", bin + string(filepath.Separator)}
	if overlay = cmp.Or(overlay, os.Getenv(OverlayEnv)); overlay != "" {
		args = append(args, "-overlay="+overlay)
	}
	return build(context.Background(), root, nil, append(args, packages...)...)
}

// build runs go build in dir. env adds to the environment.
func build(ctx context.Context, dir string, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-ldflags=-s -w -X main.version=cluster"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w\n%s", args, err, out)
	}
	return nil
}

// Overlay writes a file for go build -overlay into dir, and the files to which it refers. The
// keys of changed are paths in the workspace. The replacements of OverlayEnv stay in force for
// other files.
func Overlay(dir string, changed map[string][]byte) (path string, err error) {
	root, err := Workspace()
	if err != nil {
		return "", err
	}
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	if given := os.Getenv(OverlayEnv); given != "" {
		b, err := os.ReadFile(given)
		if err != nil {
			return "", err
		}
		if err := json.Unmarshal(b, &overlay); err != nil {
			return "", err
		}
	}
	for i, name := range slices.Sorted(maps.Keys(changed)) {
		file := filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(file, changed[name], 0o600); err != nil {
			return "", err
		}
		overlay.Replace[filepath.Join(root, filepath.FromSlash(name))] = file
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}
