// Package proc runs the programs of the suite as processes of their own, with real
// nats-servers beside them: a test's binary, run again, is one. Tests kill them, hold
// them up, and start them again. They end with the test, whatever happens to it.
//
// A test package that uses it calls Main in its TestMain.
package proc

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
)

// childMode makes a test's binary another program: a nats-server.
const childMode = "CONFAB_TEST_CHILD"

// Main runs the tests, or is the other program, and exits.
func Main(m *testing.M) {
	if os.Getenv(childMode) == "nats" {
		serveNATS()
	}
	starting.Go(starter)
	code := m.Run()
	close(starts)
	starting.Wait()
	if err := os.RemoveAll(binDir()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// Processes are started on one thread that lives as long as the tests: Linux
// counts a child's parent as dead when the thread that made it ends.
var (
	starts   = make(chan start) // closed by Main
	starting sync.WaitGroup
)

type start struct {
	cmd    *exec.Cmd
	result chan error
}

func starter() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for s := range starts {
		s.result <- s.cmd.Start()
	}
}
