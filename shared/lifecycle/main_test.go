package lifecycle_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/shared/lifecycle"
)

// The test binary starts itself as a service: exit codes and signals are those of
// a real process. childMode says what the service does.
const childMode = "LIFECYCLE_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		go func() { // a child does not outlive the test, however that ends
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(3)
		}()
		lifecycle.Main(childService(mode), "v1.2.3")
	}
	goleak.VerifyTestMain(m)
}

type settings struct {
	config.Common `default:"ADMIN_ADDR=127.0.0.1:0"`
	Addr          string `env:"EDGE_ADDR" envDefault:"127.0.0.1:0" doc:"where the child listens"`
}

func childService(mode string) lifecycle.Service[settings] {
	return lifecycle.Service[settings]{
		Name:    "child",
		Summary: "a service of this test",
		Run: func(ctx context.Context, s settings, d lifecycle.Deps) error {
			switch mode {
			case "fail":
				return errors.New("the roof is on fire")
			case "listen":
				ln, err := lifecycle.Listen("CONFAB_EDGE_ADDR", s.Addr)
				if err != nil {
					return fmt.Errorf("start: %w", err)
				}
				return ln.Close()
			}
			fmt.Println("running", d.Service, d.Version)
			<-ctx.Done()
			fmt.Println("stopping")
			if mode == "stuck" {
				select {}
			}
			return ctx.Err()
		},
	}
}

// process is a child and what it has printed.
type process struct {
	cmd    *exec.Cmd
	lines  *bufio.Scanner // of its stdout
	stderr bytes.Buffer
}

func start(t *testing.T, mode string, environ []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), os.Args[0], args...)}
	p.cmd.Env = append([]string{childMode + "=" + mode, "GOCOVERDIR=" + t.TempDir()}, environ...)
	p.cmd.Stderr = &p.stderr
	if _, err := p.cmd.StdinPipe(); err != nil { // closed by Wait, or by our end
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // no effect on one that has ended
	return p
}

// sees waits for a line of stdout that starts with prefix.
func (p *process) sees(t *testing.T, prefix string) {
	t.Helper()
	for p.lines.Scan() {
		if strings.HasPrefix(p.lines.Text(), prefix) {
			return
		}
	}
	t.Fatalf("stdout ended without %q; stderr: %s", prefix, &p.stderr)
}

// end waits for the exit and returns the code and the rest of stdout.
func (p *process) end(t *testing.T) (code int, stdout string) {
	t.Helper()
	var rest strings.Builder
	for p.lines.Scan() {
		rest.WriteString(p.lines.Text() + "\n")
	}
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok && !exit.Exited() {
		t.Fatalf("killed: %v", err)
	}
	return p.cmd.ProcessState.ExitCode(), rest.String()
}

func (p *process) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() }) // after the subtests
	addr := taken.Addr().String()
	for name, c := range map[string]struct {
		mode    string
		environ []string
		args    []string
		code    int
		stdout  string // the start of it
		stderr  string // all of it
	}{
		"failure":        {mode: "fail", code: 1, stderr: "child: the roof is on fire\n"},
		"port":           {mode: "listen", environ: []string{"CONFAB_EDGE_ADDR=" + addr}, code: 74, stderr: "CONFAB_EDGE_ADDR=" + addr + ": the port is in use by another process\n"},
		"admin port":     {mode: "wait", environ: []string{"CONFAB_ADMIN_ADDR=" + addr}, code: 74, stderr: "CONFAB_ADMIN_ADDR=" + addr + ": the port is in use by another process\n"},
		"ends by itself": {mode: "listen", code: 0},
		"setting": {mode: "wait", environ: []string{"CONFAB_ENV=prod", "CONFAB_LOG_FORMAT=xml"}, code: 78,
			stderr: `CONFAB_ENV="prod": must be production, development or test; for example development` + "\n" +
				`CONFAB_LOG_FORMAT="xml": must be json or text; for example json` + "\n"},
		"exporter":      {mode: "wait", environ: []string{"OTEL_TRACES_EXPORTER=nonsense"}, code: 78, stderr: `set up traces: OTEL_TRACES_EXPORTER="nonsense": `},
		"help":          {mode: "wait", args: []string{"--help"}, stdout: "child: a service of this test\n"},
		"help, wrong":   {mode: "wait", args: []string{"-h"}, environ: []string{"CONFAB_ENV=prod"}, stdout: "child: "},
		"version":       {mode: "wait", args: []string{"--version"}, stdout: "child v1.2.3 (go"},
		"version json":  {mode: "wait", args: []string{"version", "--json"}, stdout: `{"go":`},
		"config check":  {mode: "wait", args: []string{"config", "check"}, stdout: "settings are fine\n"},
		"config, wrong": {mode: "wait", args: []string{"config", "check"}, environ: []string{"CONFAB_ENV=prod"}, code: 78, stderr: `CONFAB_ENV="prod": `},
		"argument":      {mode: "wait", args: []string{"serv"}, code: 2, stderr: `child: unknown argument "serv"; try child --help` + "\n"},
		"two arguments": {mode: "wait", args: []string{"serve", "--fast"}, code: 2, stderr: `child: unknown argument "serve"; try child --help` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, c.mode, c.environ, c.args...)
			code, stdout := p.end(t)
			if code != c.code || !strings.HasPrefix(stdout, c.stdout) {
				t.Errorf("exit %d, want %d; stdout %q, want %q", code, c.code, stdout, c.stdout)
			}
			if got := p.stderr.String(); !strings.HasPrefix(got, c.stderr) || c.stderr == "" && got != "" {
				t.Errorf("stderr %q, want %q", got, c.stderr)
			}
		})
	}
}

func TestHelpHasTheTable(t *testing.T) {
	t.Parallel()
	_, stdout := start(t, "wait", nil, "--help").end(t)
	for _, want := range []string{"CONFAB_ADMIN_ADDR", "127.0.0.1:0", "where the child listens", "config check", "healthcheck"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode   string
		first  syscall.Signal
		second syscall.Signal // 0: none
		code   int
		stderr string
	}{
		"TERM drains":         {"wait", syscall.SIGTERM, 0, 0, ""},
		"INT drains":          {"wait", syscall.SIGINT, 0, 0, ""},
		"second TERM":         {"stuck", syscall.SIGTERM, syscall.SIGTERM, 143, "stopped by the second signal\n"},
		"second INT":          {"stuck", syscall.SIGTERM, syscall.SIGINT, 130, "stopped by the second signal\n"},
		"shutdown takes long": {"stuck", syscall.SIGTERM, 0, 1, "still running 1s after the signal: stopped\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, c.mode, []string{"CONFAB_SHUTDOWN_TIMEOUT=" + map[bool]string{true: "1s", false: "60s"}[c.code == 1]})
			p.sees(t, "running child v1.2.3")
			p.signal(t, c.first)
			p.sees(t, "stopping")
			if c.second != 0 {
				p.signal(t, c.second)
			}
			if code, _ := p.end(t); code != c.code || p.stderr.String() != c.stderr {
				t.Errorf("exit %d, want %d; stderr %q", code, c.code, &p.stderr)
			}
		})
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status, code int
	}{"ready": {200, 0}, "not ready": {503, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 1)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(c.status)
				asked <- r.URL.Path
			}))
			defer srv.Close()
			_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			// Listening everywhere is asked on loopback.
			p := start(t, "wait", []string{"CONFAB_ADMIN_ADDR=:" + port}, "healthcheck")
			if code, _ := p.end(t); code != c.code {
				t.Errorf("exit %d, want %d; stderr %s", code, c.code, &p.stderr)
			}
			if path := <-asked; path != "/readyz" {
				t.Errorf("asked for %q", path)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		if code, _ := start(t, "wait", []string{"CONFAB_ADMIN_ADDR=127.0.0.1:1"}, "healthcheck").end(t); code != 1 {
			t.Errorf("exit %d", code)
		}
	})
}

func TestRunPartsStopsInReverse(t *testing.T) {
	t.Parallel()
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
	stopped := make(chan string, 3) // in order: each part has ended before the next is stopped
	started := make(chan string, 3)
	part := func(name string) lifecycle.Part {
		return lifecycle.Part{Name: name, Run: func(ctx context.Context) error {
			if ctx.Value(key{}) != "kept" {
				t.Errorf("%s has another context", name)
			}
			started <- name
			<-ctx.Done()
			stopped <- name
			return ctx.Err()
		}}
	}
	result := make(chan error, 1)
	go func() { result <- lifecycle.RunParts(ctx, part("admin"), part("nats"), part("intake")) }()
	for range 3 {
		<-started
	}
	cancel()
	if err := eventually.Receive(t, "the end", result); err != nil {
		t.Errorf("a stop that was asked for gives %v", err)
	}
	close(stopped)
	var order []string
	for name := range stopped {
		order = append(order, name)
	}
	if want := []string{"intake", "nats", "admin"}; !slices.Equal(order, want) {
		t.Errorf("stopped in order %q, want %q", order, want)
	}
}

func TestRunPartsFirstErrorStopsAll(t *testing.T) {
	t.Parallel()
	broken, worse := errors.New("broken"), errors.New("worse")
	waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	err := lifecycle.RunParts(t.Context(),
		lifecycle.Part{Name: "a", Run: waits},
		lifecycle.Part{Name: "b", Run: func(context.Context) error { return broken }},
		lifecycle.Part{Name: "c", Run: func(ctx context.Context) error { <-ctx.Done(); return worse }},
	)
	if !errors.Is(err, broken) || !errors.Is(err, worse) || err.Error() != "b: broken\nc: worse" {
		t.Errorf("got %v", err)
	}
	if err := lifecycle.RunParts(t.Context(), lifecycle.Part{Name: "done", Run: func(context.Context) error { return nil }},
		lifecycle.Part{Name: "a", Run: waits}); err != nil {
		t.Errorf("a part that is done gives %v", err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	_, taken := net.Listen("tcp", "127.0.0.1:99999")
	for name, c := range map[string]struct {
		err  error
		code int
		text string
	}{
		"nothing":  {nil, 0, ""},
		"other":    {errors.New("x"), 1, "x\n"},
		"io":       {fmt.Errorf("a: %w", &lifecycle.IOError{What: "CONFAB_DATA_DIR=/x", Err: os.ErrPermission}), 74, "CONFAB_DATA_DIR=/x: permission denied\n"},
		"settings": {fmt.Errorf("b: %w", &config.Error{Problems: []config.Problem{config.Bad("CONFAB_A", "must go", ""), config.Bad("CONFAB_B", "too", "")}}), 78, "CONFAB_A: must go\nCONFAB_B: too\n"},
		"not io":   {taken, 1, "listen tcp: address 99999: invalid port\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if code := lifecycle.Explain(&out, c.err); code != c.code || out.String() != c.text {
				t.Errorf("exit %d %q, want %d %q", code, out.String(), c.code, c.text)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	a, b := lifecycle.NewIdentity("edge", "v1"), lifecycle.NewIdentity("edge", "v1")
	if a.Instance == b.Instance || a.Gen >= b.Gen {
		t.Errorf("two starts look alike: %+v %+v", a, b)
	}
	if strings.Trim(a.Instance, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(a.Instance) < 8 {
		t.Errorf("%q is no subject token", a.Instance)
	}
}
