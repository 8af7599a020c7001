package natstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports are taken from below the range from which systems take those of outgoing
// connections (32768 on Linux, 49152 elsewhere): else a busy test's own connection
// could get the port before a program listens on it, or while it is restarted.
const (
	lowestPort = 10000
	ports      = 20000
)

// given are the ports of this process: each is given once. Processes begin at
// different places.
var given = struct {
	mu   sync.Mutex
	next int
}{next: rand.N(ports)}

// FreeAddr is an address of this machine that nobody listens on now, and that nobody
// else in this process is given: for what is told its port and listens on it a moment
// later, such as programs that tests start.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	port := freePort()
	if port == 0 {
		tb.Fatal("no port is free")
	}
	return address(port)
}

// freePort is the port of a FreeAddr, 0 when there is none.
func freePort() int {
	given.mu.Lock()
	defer given.mu.Unlock()
	for range ports {
		port := lowestPort + given.next%ports
		given.next++
		if ln, err := net.Listen("tcp", address(port)); err == nil {
			ln.Close()
			return port
		}
	}
	return 0
}

func address(port int) string { return fmt.Sprint("127.0.0.1:", port) }
