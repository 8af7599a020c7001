// Package clustertest runs the programs of the suite as processes of a test: the test kills them,
// pauses them and starts them again. They end with the test, however it ends. The nats-server is
// the test's own binary, run again.
//
// A test package that uses it calls [Main] in its TestMain.
package clustertest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/confab-chat/confab/shared/eventually"
	"github.com/confab-chat/confab/tools/internal/cluster"
)

// asNATS makes a test's binary a nats-server. Its arguments are then those of nats-server.
const asNATS = "CONFAB_TEST_CHILD=nats"

// Main runs the tests and exits.
func Main(m *testing.M) {
	if os.Getenv("CONFAB_TEST_CHILD") == "nats" {
		serveNATS(os.Args[len(os.Args)-1])
	}
	code := m.Run()
	if err := os.RemoveAll(binDir()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// serveNATS runs a nats-server until a signal ends the process.
func serveNATS(config string) {
	opts, err := server.ProcessConfigFile(config)
	if err == nil {
		opts.NoSigs = true
		var s *server.Server
		if s, err = server.NewServer(opts); err == nil {
			s.ConfigureLogger()
			s.Start()
			select {}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// binDir holds the built programs while the tests run.
func binDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("confab-cluster-%d", os.Getpid()))
}

// buildAll builds all programs, once.
var buildAll = sync.OnceValue(func() error {
	return cluster.Build(binDir(), "", "./services/edge/cmd/edge", "./services/room/cmd/room",
		"./services/ratelimit/cmd/ratelimit", "./services/monitor/cmd/monitor", "./tools/confab")
})

// Binary returns the path of a program of the suite: a service, or confab.
func Binary(tb testing.TB, name string) string {
	tb.Helper()
	if err := buildAll(); err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(binDir(), name)
}

var variants sync.Mutex // held while a variant is built

// Variant builds a service with some files replaced, once for each name, and returns its path.
// The keys of changed are paths in the workspace.
func Variant(tb testing.TB, service, name string, changed map[string][]byte) string {
	tb.Helper()
	variants.Lock()
	defer variants.Unlock()
	dir := filepath.Join(binDir(), name)
	path := filepath.Join(dir, service)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	overlay, err := cluster.Overlay(tb.TempDir(), changed)
	if err == nil {
		err = cluster.Build(dir, overlay, "./services/"+service+"/cmd/"+service)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Process is a running program of a test.
type Process struct {
	*cluster.Process
	tb testing.TB
}

// Run starts a program with no environment but env.
func Run(tb testing.TB, path string, env []string, args ...string) *Process {
	tb.Helper()
	p, err := cluster.Spawn(tb.TempDir(), filepath.Base(path), path, env, args...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Kill(); logTail(tb, p) })
	return &Process{p, tb}
}

// logTail logs what a process wrote last, if the test failed.
func logTail(tb testing.TB, p *cluster.Process) {
	if !tb.Failed() {
		return
	}
	var last []string
	for _, text := range []string{p.Stdout(), p.Stderr()} {
		lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(l string) bool {
			return strings.Contains(l, "DEBUG") || strings.Contains(l, "[INF]")
		})
		last = append(last, lines[max(0, len(lines)-15):]...)
	}
	tb.Logf("%s wrote, at the end:\n%s", p.Name(), strings.Join(last, ""))
}

// Signal sends a signal. It does nothing when the process has ended.
func (p *Process) Signal(s syscall.Signal) {
	p.tb.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.tb.Error(err)
	}
}

// Exit waits until the process has ended and returns its exit code.
func (p *Process) Exit() int {
	p.tb.Helper()
	eventually.Receive(p.tb, "the end of "+p.Name(), p.Ended())
	return p.ExitCode()
}

// WaitStatus waits until a GET of url is answered with status. The test fails when the process
// ends first.
func (p *Process) WaitStatus(url string, status int) {
	p.tb.Helper()
	ctx, cancel := eventually.Context(p.tb)
	defer cancel()
	if err := p.Process.WaitStatus(ctx, url, status); err != nil {
		p.tb.Fatal(err)
	}
}
