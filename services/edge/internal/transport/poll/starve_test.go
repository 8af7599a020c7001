//go:build unix

package poll_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/shared/eventually"
)

// childEnv makes the test binary the server of TestStarved, whose descriptor
// limit is lowered without hurting the tests beside it.
const childEnv = "CONFAB_TEST_POLL_CHILD"

// TestStarved: a process out of descriptors pauses accepting instead of
// spinning, and goes on when there are some again.
func TestStarved(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, o poll.Options) {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+string(o.Mode))
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		addr := make([]byte, 64)
		n, err := stdout.Read(addr)
		if err != nil {
			t.Fatal(err)
		}
		conns := make([]net.Conn, 80)
		for i := range conns {
			conns[i] = dial(t, strings.TrimSpace(string(addr[:n])))
		}
		echo := func(c net.Conn) error {
			if _, err := c.Write([]byte("x")); err != nil {
				return err
			}
			_, err := io.ReadFull(c, make([]byte, 1))
			return err
		}
		if err := echo(conns[0]); err != nil {
			t.Fatalf("the first: %v", err)
		}
		last := conns[len(conns)-1]
		last.SetReadDeadline(time.Now().Add(time.Second))
		if err := echo(last); err == nil {
			t.Fatal("the limit did not bite")
		}
		last.SetReadDeadline(time.Now().Add(eventually.Patience()))
		for _, c := range conns[:60] {
			c.Close()
		}
		if _, err := io.ReadFull(last, make([]byte, 1)); err != nil {
			t.Errorf("the last, after others had gone: %v", err)
		}
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
		if cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); cpu > 500*time.Millisecond {
			t.Errorf("the child used %v of CPU: it spins", cpu)
		}
	})
}

// childMain serves echo under a low descriptor limit until stdin ends.
func childMain() {
	mode := os.Getenv(childEnv)
	if mode == "" {
		return
	}
	os.Exit(child(poll.Mode(mode)))
}

func child(mode poll.Mode) int {
	limit := syscall.Rlimit{Cur: 40, Max: 40}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 3
	}
	g, err := poll.New(poll.Options{Loops: 2, Mode: mode, Tick: 20 * time.Millisecond})
	if err != nil {
		return 4
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 5
	}
	addr := ln.Addr()
	if _, err := g.Listen(ln, acceptEcho); err != nil {
		return 6
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	fmt.Println(addr)
	if err := g.Run(ctx); err != nil {
		return 7
	}
	return 0
}
