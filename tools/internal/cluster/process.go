package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// probeInterval is the time between two probes of a process that is starting.
	probeInterval = 20 * time.Millisecond
	// probeTimeout bounds one probe.
	probeTimeout = 5 * time.Second
	// stopTimeout is how long a process may take to end after SIGTERM.
	stopTimeout = 15 * time.Second
)

// Process is a running program. Its methods may be called concurrently.
type Process struct {
	name           string // static, like the following
	cmd            *exec.Cmd
	stdout, stderr string        // files
	ended          chan struct{} // closed after cmd.Wait has returned
}

// Spawn starts the program at path in the folder dir, with no environment but env. It writes to
// the files name.stdout and name.stderr there. On Linux the process ends with this one.
func Spawn(dir, name, path string, env []string, args ...string) (*Process, error) {
	p := &Process{
		name: name, cmd: exec.Command(path, args...),
		stdout: filepath.Join(dir, name+".stdout"), stderr: filepath.Join(dir, name+".stderr"),
		ended: make(chan struct{}),
	}
	stdout, err := os.Create(p.stdout)
	if err != nil {
		return nil, err
	}
	defer stdout.Close() // the process has its own descriptor
	stderr, err := os.Create(p.stderr)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	p.cmd.Env, p.cmd.Dir, p.cmd.SysProcAttr = env, dir, processAttributes()
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	result := make(chan error)
	startQueue() <- startRequest{p.cmd, result}
	if err := <-result; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ProcessState has the result
	}()
	return p, nil
}

type startRequest struct {
	cmd    *exec.Cmd
	result chan<- error
}

// startQueue feeds the one thread that starts all processes. Linux considers the parent of a
// process dead when the thread that started it ends, so this one never ends.
var startQueue = sync.OnceValue(func() chan<- startRequest {
	requests := make(chan startRequest)
	go func() {
		runtime.LockOSThread()
		for r := range requests {
			r.result <- r.cmd.Start()
		}
	}()
	return requests
})

// Name returns the name of the process's logs.
func (p *Process) Name() string { return p.name }

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stdout returns what the process has written so far to its standard output.
func (p *Process) Stdout() string { return readLog(p.stdout) }

// Stderr returns what the process has written so far to its standard error.
func (p *Process) Stderr() string { return readLog(p.stderr) }

func readLog(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// ExitCode returns the exit code, -1 if a signal ended the process. It waits for the end.
func (p *Process) ExitCode() int {
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal. It does nothing when the process has ended.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %v to %s: %w", s, p.name, err)
	}
	return nil
}

// Kill ends the process with SIGKILL and waits for the end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// Stop ends the process with SIGTERM. If it does not end in time, Stop kills it and returns an
// error.
func (p *Process) Stop() error {
	err := p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return err
	case <-time.After(stopTimeout):
		p.Kill()
		return errors.Join(err, fmt.Errorf("%s did not end within %v and was killed", p.name, stopTimeout))
	}
}

// WaitFor calls probe until it returns nil. It returns an error when the process ends first or
// ctx is done.
func (p *Process) WaitFor(ctx context.Context, probe func(context.Context) error) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended with %d; see %s", p.name, p.ExitCode(), p.stderr)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.name, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// WaitStatus waits until a GET of url is answered with status, see [Process.WaitFor].
func (p *Process) WaitStatus(ctx context.Context, url string, status int) error {
	return p.WaitFor(ctx, func(ctx context.Context) error {
		got, body, err := Get(ctx, url)
		if err == nil && got != status {
			err = fmt.Errorf("%s: %d, want %d: %.1000s", url, got, status, body)
		}
		return err
	})
}

// Get requests url over a connection of its own.
func Get(ctx context.Context, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Timeout: probeTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
