package proc

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Patience bounds one wait, on a busy machine.
const Patience = 30 * time.Second

// Process is one running program. Its fields are static.
type Process struct {
	tb    testing.TB
	name  string
	cmd   *exec.Cmd
	out   string        // file of what it prints
	err   string        // file of its complaints
	ended chan struct{} // closed when it has been waited for
}

// Run starts a program with nothing in its environment but env.
func Run(tb testing.TB, path string, env []string, args ...string) *Process {
	tb.Helper()
	dir := tb.TempDir()
	p := &Process{
		tb: tb, name: filepath.Base(path), cmd: exec.Command(path, args...),
		out: filepath.Join(dir, "stdout"), err: filepath.Join(dir, "stderr"), ended: make(chan struct{}),
	}
	p.cmd.Env, p.cmd.Dir, p.cmd.SysProcAttr = env, dir, child()
	stdout, stderr := create(tb, p.out), create(tb, p.err)
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	s := start{p.cmd, make(chan error)}
	starts <- s
	err := <-s.result
	stdout.Close()
	stderr.Close()
	if err != nil {
		tb.Fatalf("start %s: %v", p.name, err)
	}
	go func() { defer close(p.ended); _ = p.cmd.Wait() }() // its state says all
	tb.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		<-p.ended
		if tb.Failed() {
			tb.Logf("%s printed, at the end:\n%s%s", p.name, tail(p.read(p.out)), tail(p.read(p.err)))
		}
	})
	return p
}

func create(tb testing.TB, path string) *os.File {
	tb.Helper()
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func tail(text string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(l string) bool {
		return strings.Contains(l, "DEBUG") || strings.Contains(l, "[INF]")
	})
	return strings.Join(lines[max(0, len(lines)-15):], "")
}

func (p *Process) read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Stdout and Stderr are what it has printed so far.
func (p *Process) Stdout() string { return p.read(p.out) }
func (p *Process) Stderr() string { return p.read(p.err) }

// Signal sends a signal; a process that has ended does not get it.
func (p *Process) Signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.tb.Errorf("signal %v to %s: %v", s, p.name, err)
	}
}

// Kill is kill -9, and waits for the end.
func (p *Process) Kill() { p.Signal(syscall.SIGKILL); <-p.ended }

// Exit waits for the process to end by itself and returns its exit code.
func (p *Process) Exit() int {
	p.tb.Helper()
	timeout := time.NewTimer(Patience)
	defer timeout.Stop()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-timeout.C:
		p.tb.Fatalf("%s has not ended in %v", p.name, Patience)
		return 0
	}
}

// Answers waits until url is answered with that status; a process that has ended
// meanwhile fails the test.
func (p *Process) Answers(url string, status int) {
	p.tb.Helper()
	Eventually(p.tb, func() error {
		select {
		case <-p.ended:
			p.tb.Fatalf("%s ended with %d:\n%s", p.name, p.cmd.ProcessState.ExitCode(), p.Stderr())
		default:
		}
		got, _, err := Get(url)
		if err == nil && got != status {
			err = fmt.Errorf("%s: %d, want %d", url, got, status)
		}
		return err
	})
}

// Get asks over a connection of its own.
func Get(url string) (status int, body string, err error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// Eventually asks until nothing is wrong any more, and returns how long it took.
func Eventually(tb testing.TB, ask func() error) time.Duration {
	tb.Helper()
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > Patience {
			tb.Fatalf("after %v: %v", Patience, err)
		}
		<-tick.C
	}
}
