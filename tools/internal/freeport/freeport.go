// Package freeport finds addresses for programs that tests start: such a program
// is told its port and listens on it a moment later.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports are taken from below the range from which systems take those of outgoing
// connections (32768 on Linux, 49152 elsewhere): else a busy test's own connection
// could get the port before the program does.
const (
	lowest = 10000
	count  = 20000
)

// given are the ports of this process: each is given once. Processes begin at
// different places.
var given = struct {
	mu   sync.Mutex
	next int
}{next: rand.N(count)}

// Addr is an address of this machine that nobody listens on now, and that nobody
// else in this process is given.
func Addr(tb testing.TB) string {
	tb.Helper()
	given.mu.Lock()
	defer given.mu.Unlock()
	for range count {
		addr := fmt.Sprintf("127.0.0.1:%d", lowest+given.next%count)
		given.next++
		if ln, err := net.Listen("tcp", addr); err == nil {
			ln.Close()
			return addr
		}
	}
	tb.Fatal("no port is free")
	return ""
}
