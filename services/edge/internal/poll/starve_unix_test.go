//go:build unix

package poll_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/poll"
)

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
	if _, err := g.Listen(ln, acceptChild); err != nil {
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
