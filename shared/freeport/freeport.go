// Package freeport finds loopback ports for programs that are given a port first and listen on
// it a moment later, such as those that tests start.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are below the range from which systems take the ports of outgoing connections (32768 on
// Linux, 49152 elsewhere). Otherwise a busy test's own connection could get the port before a
// program listens on it, or while the program restarts.
const (
	lowest = 10000
	count  = 20000
)

// given hands out each port once in this process. Processes start at different places.
var given = struct {
	mu   sync.Mutex
	next int // guarded by mu
}{next: rand.N(count)}

// Port returns a port on which no process listens now and which no other call in this process
// has returned. It may be called concurrently.
func Port() (int, error) {
	given.mu.Lock()
	defer given.mu.Unlock()
	for range count {
		port := lowest + given.next%count
		given.next++
		if ln, err := net.Listen("tcp", address(port)); err == nil {
			return port, ln.Close()
		}
	}
	return 0, errors.New("no port is free")
}

// Addr returns 127.0.0.1 with a [Port].
func Addr() (string, error) {
	port, err := Port()
	return address(port), err
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
