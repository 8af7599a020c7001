package archtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/confab-chat/confab/tools/archtest"
)

// The workspace as it stands. Run with -count=1: go test does not see that
// other modules changed.
func TestWorkspace(t *testing.T) {
	t.Parallel()
	pkgs, err := archtest.List("../..", "work")
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 20 {
		t.Fatalf("go list found %d packages only: the rules would pass over nothing", len(pkgs))
	}
	for _, rule := range archtest.Rules() {
		t.Run(strings.ReplaceAll(rule.Name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for _, p := range pkgs {
				for _, broken := range rule.Check(p) {
					t.Errorf("%s: %s\n\t%s, because %s", p.ImportPath, broken, rule.Name, rule.Why)
				}
			}
		})
	}
	t.Run("source", func(t *testing.T) {
		t.Parallel()
		for _, p := range pkgs {
			if strings.Contains(p.ImportPath, "tools/archtest") {
				continue // it spells what it looks for
			}
			broken, err := archtest.Source(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range broken {
				t.Errorf("%s: %s", p.ImportPath, b)
			}
		}
	})
	t.Run("pure_packages_exist", func(t *testing.T) {
		t.Parallel()
		for _, pure := range archtest.Pure() {
			if _, err := os.Stat(filepath.Join("../..", pure)); err != nil {
				t.Errorf("%s is listed as pure and is not there: %v", pure, err)
			}
		}
	})
}

// Every rule, broken on purpose.
func TestRulesFail(t *testing.T) {
	t.Parallel()
	const m = archtest.Module
	for name, c := range map[string]struct {
		rule string
		pkg  archtest.Package
		want bool
	}{
		"edge imports room":          {"services do not import services", archtest.Package{ImportPath: m + "services/edge/internal/rooms/hub", Imports: []string{m + "services/room"}}, true},
		"edge imports itself":        {"services do not import services", archtest.Package{ImportPath: m + "services/edge", Imports: []string{m + "services/edge/internal/rooms/hub"}}, false},
		"proto imports nats":         {"proto imports the standard library only", archtest.Package{ImportPath: m + "proto/wire", Imports: []string{"github.com/nats-io/nats.go"}}, true},
		"proto imports proto":        {"proto imports the standard library only", archtest.Package{ImportPath: m + "proto/wire", Imports: []string{m + "proto/code", "strings"}}, false},
		"shared imports edge":        {"shared knows no service", archtest.Package{ImportPath: m + "shared/client", Imports: []string{m + "services/edge"}}, true},
		"shared imports proto":       {"shared knows no service", archtest.Package{ImportPath: m + "shared/client", Imports: []string{m + "proto/event"}}, false},
		"public package in edge":     {"below a service's root everything is internal", archtest.Package{ImportPath: m + "services/edge/hub"}, true},
		"foreign cmd in edge":        {"below a service's root everything is internal", archtest.Package{ImportPath: m + "services/edge/cmd/other"}, true},
		"internal package in edge":   {"below a service's root everything is internal", archtest.Package{ImportPath: m + "services/edge/internal/rooms/hub"}, false},
		"binary links nats-server":   {"a service's binary links no nats-server and no testing", archtest.Package{ImportPath: m + "services/edge/cmd/edge", Name: "main", Deps: []string{"github.com/nats-io/nats-server/v2/server"}}, true},
		"binary links testing":       {"a service's binary links no nats-server and no testing", archtest.Package{ImportPath: m + "services/edge/cmd/edge", Name: "main", Deps: []string{"testing"}}, true},
		"membership imports nats":    {"the pure core has no I/O", archtest.Package{ImportPath: m + "services/room/internal/shard/rooms/membership", Imports: []string{"github.com/nats-io/nats.go"}}, true},
		"membership imports net/url": {"the pure core has no I/O", archtest.Package{ImportPath: m + "services/room/internal/shard/rooms/membership", Imports: []string{"net/url"}}, true},
		"ws imports gobwas":          {"the pure core has no I/O", archtest.Package{ImportPath: m + "services/edge/internal/transport/ws", Imports: []string{"github.com/gobwas/ws"}}, true},
		"hub imports nats":           {"the pure core has no I/O", archtest.Package{ImportPath: m + "services/edge/internal/rooms/hub", Imports: []string{"github.com/nats-io/nats.go"}}, false},
		"no comment":                 {"every package says what it is", archtest.Package{ImportPath: m + "shared/x", GoFiles: []string{"x.go"}}, true},
		"a util":                     {"no grab-bag packages", archtest.Package{ImportPath: m + "shared/util"}, true},
		"a util of another module":   {"no grab-bag packages", archtest.Package{ImportPath: "example.com/util"}, false},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for _, rule := range archtest.Rules() {
				if rule.Name != c.rule {
					continue
				}
				if got := len(rule.Check(c.pkg)) > 0; got != c.want {
					t.Errorf("broken = %v, want %v", got, c.want)
				}
				return
			}
			t.Fatalf("no rule %q", c.rule)
		})
	}
}

func TestSourceFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ path, code, want string }{
		"init":          {"shared/x", "package x\nfunc init() {}\n", "an init function"},
		"subject":       {"shared/x", "package x\nconst s = \"chat.v1.room\"\n", "a subject literal"},
		"clock in core": {"proto/wire", "package wire\nimport \"time\"\nvar t = time.Now()\n", "time.Now in the pure core"},
		"clock outside": {"shared/x", "package x\nimport \"time\"\nvar t = time.Now()\n", ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(c.code), 0o600); err != nil {
				t.Fatal(err)
			}
			broken, err := archtest.Source(archtest.Package{ImportPath: archtest.Module + c.path, Dir: dir, GoFiles: []string{"x.go"}})
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(broken, "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSleepsFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code string
		want bool
	}{
		"test":               {"func TestX(t *testing.T) { time.Sleep(1) }", true},
		"helper":             {"func wait() { time.Sleep(1) }", true},
		"receive":            {"func TestX(t *testing.T) { <-time.After(1) }", true},
		"select of one case": {"func TestX(t *testing.T) { select { case <-time.After(1): } }", true},
		"timeout":            {"func wait(c chan int) { select { case <-c: case <-time.After(1): } }", false},
		"benchmark":          {"func BenchmarkX(b *testing.B) { go func() { time.Sleep(1) }() }", false},
		"benchmark's helper": {"func wait(n int, b *testing.B) { time.Sleep(1) }", false},
		"bubble":             {"import \"testing/synctest\"\nfunc TestX(t *testing.T) { synctest.Test(t, func(*testing.T) { time.Sleep(1) }) }", false},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			code := "package x\nimport (\n\"testing\"\n\"time\"\n)\n" + c.code
			if err := os.WriteFile(filepath.Join(dir, "x_test.go"), []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			broken, err := archtest.Source(archtest.Package{ImportPath: archtest.Module + "shared/x", Dir: dir, XTestGoFiles: []string{"x_test.go"}})
			if err != nil || (len(broken) > 0) != c.want {
				t.Errorf("%q %v, broken = %v", broken, err, c.want)
			}
		})
	}
}
