package proc

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// binDir holds the built binaries while the tests run.
func binDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("confab-proc-%d", os.Getpid()))
}

// OverlayEnv names a file for go build -overlay: all binaries are built with it. So
// a mutation needs neither a switch in the code nor a copy of the tree.
const OverlayEnv = "CONFAB_TEST_OVERLAY"

// build builds all binaries, once.
var build = sync.OnceValue(func() error {
	args := []string{}
	if overlay := os.Getenv(OverlayEnv); overlay != "" {
		args = append(args, "-overlay="+overlay)
	}
	return goBuild(binDir(), args, "./services/edge/cmd/edge", "./services/room/cmd/room",
		"./services/ratelimit/cmd/ratelimit", "./services/monitor/cmd/monitor", "./tools/confab")
})

// goBuild builds packages into dir.
func goBuild(dir string, args []string, packages ...string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := Root()
	if err != nil {
		return err
	}
	args = append([]string{"build", "-o", dir + string(filepath.Separator), "-ldflags=-s -w -X main.version=proctest"}, args...)
	cmd := exec.Command("go", append(args, packages...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Root is the folder of the workspace.
func Root() (string, error) {
	out, err := exec.Command("go", "env", "GOWORK").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOWORK: %w", err)
	}
	return filepath.Dir(string(out[:max(0, len(out)-1)])), nil
}

// Binary is the path of a built binary.
func Binary(tb testing.TB, name string) string {
	tb.Helper()
	began := time.Now()
	if err := build(); err != nil {
		tb.Fatal(err)
	}
	if took := time.Since(began); took > time.Second {
		tb.Logf("building took %v", took.Round(time.Second))
	}
	return filepath.Join(binDir(), name)
}

var variants sync.Mutex // one at a time is built

// Variant builds a service of which some files are others, and returns its path. The
// keys of changed are paths in the workspace.
func Variant(tb testing.TB, service, name string, changed map[string][]byte) string {
	tb.Helper()
	variants.Lock()
	defer variants.Unlock()
	dir := filepath.Join(binDir(), name)
	path := filepath.Join(dir, service)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	overlay, err := Overlay(tb.TempDir(), changed)
	if err == nil {
		err = goBuild(dir, []string{"-overlay=" + overlay}, "./services/"+service+"/cmd/"+service)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Overlay writes a file for go build -overlay, and what it refers to, into dir. What
// OverlayEnv says holds too, for other files.
func Overlay(dir string, changed map[string][]byte) (path string, err error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	var overlay struct{ Replace map[string]string }
	if given := os.Getenv(OverlayEnv); given != "" {
		b, err := os.ReadFile(given)
		if err != nil {
			return "", err
		}
		if err := json.Unmarshal(b, &overlay); err != nil {
			return "", err
		}
	}
	if overlay.Replace == nil {
		overlay.Replace = make(map[string]string)
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
