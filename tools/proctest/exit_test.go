package proctest_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/natstest"
	"github.com/confab-chat/confab/tools/internal/cluster/clustertest"
)

const nowhere = "CONFAB_NATS_URL=nats://127.0.0.1:1" // no server answers; services start all the same

func services() []string { return []string{"edge", "room", "ratelimit", "monitor"} }

// programs returns the services and the all-in-one.
func programs() []string { return append(services(), "confab") }

// own returns an environment in which a program can start beside others.
func own(tb testing.TB, env ...string) (all []string, admin string) {
	tb.Helper()
	admin = natstest.FreeAddr(tb)
	return append([]string{
		"CONFAB_ADMIN_ADDR=" + admin, "CONFAB_EDGE_ADDR=" + natstest.FreeAddr(tb), "CONFAB_MONITOR_ADDR=" + natstest.FreeAddr(tb),
		"CONFAB_DATA_DIR=" + tb.TempDir(), nowhere, clustertest.SecretEnv,
	}, env...), admin
}

// embedded returns own for the all-in-one with its own NATS server.
func embedded(tb testing.TB, env ...string) (all []string, admin string) {
	tb.Helper()
	all, admin = own(tb, env...)
	return append(all, "CONFAB_NATS_URL="), admin
}

// TestSettings: every mistake is reported at once, and the program does not start.
func TestSettings(t *testing.T) {
	t.Parallel()
	for _, name := range programs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := []string{"CONFAB_ENV=prod", "CONFAB_LOG_LEVEL=loud", "CONFAB_NATS_URL=nats://", "CONFAB_LOG_LEVLE=info", "CONFAB_SHUTDOWN_TIMEOUT=70"}
			switch name {
			case "edge", "confab":
				wrong = append(wrong, "CONFAB_EDGE_ADDR=3001", "CONFAB_LIMIT_JOINS=-1", "CONFAB_AUTH_HMAC_SECRET=short", "CONFAB_PRESENCE_SCOPE=me", "CONFAB_DEFAULT_ROOM=no name")
			case "room":
				wrong = append(wrong, "CONFAB_LOG_REPLICAS=2", "CONFAB_HISTORY_MAX_AGE=7d", "CONFAB_DURABILITY=none")
			}
			p := clustertest.Run(t, clustertest.Binary(t, name), wrong)
			if code := p.Exit(); code != 78 {
				t.Errorf("exit code %d", code)
			}
			lines := strings.Split(strings.TrimSpace(p.Stderr()), "\n")
			if len(lines) != len(wrong) {
				t.Errorf("%d mistakes, %d lines:\n%s", len(wrong), len(lines), p.Stderr())
			}
			for _, w := range wrong {
				variable, value, _ := strings.Cut(w, "=")
				if !strings.Contains(p.Stderr(), variable) {
					t.Errorf("%s is not reported", variable)
				}
				if strings.HasSuffix(variable, "SECRET") && strings.Contains(p.Stderr(), value) {
					t.Error("a secret is shown")
				}
			}
			if out := p.Stdout(); out != "" {
				t.Errorf("printed: %s", out)
			}
		})
	}
}

// TestInputOutput: a port or a folder that cannot be used.
func TestInputOutput(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	busy := usedAddr(t)
	type row struct{ program, variable, value string }
	rows := []row{
		{"edge", "CONFAB_EDGE_ADDR", busy}, {"monitor", "CONFAB_MONITOR_ADDR", busy},
		{"confab", "CONFAB_EDGE_ADDR", busy}, {"confab", "CONFAB_MONITOR_ADDR", busy}, {"confab", "CONFAB_DATA_DIR", file},
		{"confab", "CONFAB_DATA_DIR", filepath.Join(file, "below")},
	}
	for _, name := range programs() {
		rows = append(rows, row{name, "CONFAB_ADMIN_ADDR", busy}, row{name, "CONFAB_ADMIN_ADDR", "192.0.2.1:9100"})
	}
	for _, c := range rows {
		t.Run(c.program+" "+c.variable, func(t *testing.T) {
			t.Parallel()
			env, _ := embedded(t, c.variable+"="+c.value)
			if c.program != "confab" {
				env = append(env, nowhere)
			}
			exitsNaming(t, clustertest.Run(t, clustertest.Binary(t, c.program), env), c.variable)
		})
	}
	t.Run("edge without a folder for its secret", func(t *testing.T) {
		t.Parallel()
		env, _ := own(t, "CONFAB_DATA_DIR="+file, "CONFAB_AUTH_HMAC_SECRET=")
		exitsNaming(t, clustertest.Run(t, clustertest.Binary(t, "edge"), env), "CONFAB_DATA_DIR")
	})
	t.Run("folder in use", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		env, admin := embedded(t, "CONFAB_DATA_DIR="+dir)
		first := clustertest.Run(t, clustertest.Binary(t, "confab"), env)
		first.WaitStatus("http://"+admin+"/readyz", 200)
		env, _ = embedded(t, "CONFAB_DATA_DIR="+dir)
		exitsNaming(t, clustertest.Run(t, clustertest.Binary(t, "confab"), env), "CONFAB_DATA_DIR")
	})
}

// exitsNaming checks the exit code, and that the message names the setting to change.
func exitsNaming(t *testing.T, p *clustertest.Process, variable string) {
	t.Helper()
	if code := p.Exit(); code != 74 {
		t.Errorf("exit code %d", code)
	}
	if text := p.Stderr(); !strings.Contains(text, variable) || strings.Count(strings.TrimSpace(text), "\n") > 0 {
		t.Errorf("want one line about %s:\n%s", variable, text)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, name := range programs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for args, want := range map[string]int{"--version": 0, "version": 0, "--help": 0, "-h": 0, "nonsense": 2, "serve twice": 2} {
				env, _ := own(t)
				p := clustertest.Run(t, clustertest.Binary(t, name), env, strings.Fields(args)...)
				if code := p.Exit(); code != want {
					t.Errorf("%s: exit code %d", args, code)
				}
				switch text := p.Stdout(); {
				case want == 0 && text == "":
					t.Errorf("%s: no text on stdout", args)
				case strings.Contains(args, "version") && !strings.Contains(text, "cluster"):
					t.Errorf("%s: %s", args, text)
				case want == 2 && p.Stderr() == "":
					t.Errorf("%s: no explanation", args)
				}
			}
		})
	}
	for _, name := range services() {
		env, _ := own(t)
		if code := clustertest.Run(t, clustertest.Binary(t, name), env, "config", "check").Exit(); code != 0 {
			t.Errorf("%s config check: %d", name, code)
		}
	}
}

// TestSignals: the first signal stops a program in good order, also without NATS; the second ends
// it at once.
func TestSignals(t *testing.T) {
	t.Parallel()
	type row struct {
		program string
		signals []syscall.Signal
		want    int
	}
	var rows []row
	for _, name := range programs() {
		rows = append(rows, row{name, []syscall.Signal{syscall.SIGTERM}, 0}, row{name, []syscall.Signal{syscall.SIGINT}, 0})
	}
	for _, name := range []string{"edge", "confab"} { // these drain
		rows = append(rows, row{name, []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 143}, row{name, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 130})
	}
	for _, c := range rows {
		t.Run(c.program+" "+c.signals[0].String(), func(t *testing.T) {
			t.Parallel()
			env, admin := embedded(t)
			if c.program != "confab" {
				env = append(env, nowhere)
			}
			if len(c.signals) > 1 {
				env = append(env, "CONFAB_DRAIN_DELAY=50s")
			}
			p := clustertest.Run(t, clustertest.Binary(t, c.program), env)
			ready := 200
			if c.program != "confab" {
				ready = 503 // without NATS
			}
			p.WaitStatus("http://"+admin+"/livez", 200)
			p.WaitStatus("http://"+admin+"/readyz", ready)
			p.Signal(c.signals[0])
			for _, s := range c.signals[1:] {
				// The system merges two pending signals of the same kind.
				eventually.OK(t, "the first signal has an effect", func() error {
					if !strings.Contains(p.Stdout(), "draining") {
						return errors.New("no drain in the log: " + p.Stdout())
					}
					return nil
				})
				p.Signal(s)
			}
			if code := p.Exit(); code != c.want {
				t.Errorf("exit code %d, want %d:\n%s", code, c.want, p.Stderr())
			}
			if out := p.Stdout(); strings.Contains(out, "panic") || strings.Contains(p.Stderr(), "panic") {
				t.Error("panic")
			}
		})
	}
}

// usedAddr returns a loopback address on which this process listens.
func usedAddr(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}
