// Package sioclient drives unmodified socket.io-clients (npm) from tests. Its tests need
// Node. They run when CONFAB_TEST_NODE is set, as CI does after npm ci in this folder.
package sioclient

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/confab-chat/confab/shared/eventually"
)

// Libraries are the versions of the client, as package.json names them: the latest,
// and the oldest 4.x.
func Libraries() []string { return []string{"socket.io-client", "socket.io-client-oldest"} }

// Happening is an event of a socket, or an acknowledgement.
type Happening struct {
	ID    string
	Event string
	Ack   int
	Args  []json.RawMessage
}

// Decode decodes the n-th argument into v.
func (h Happening) Decode(tb testing.TB, n int, v any) {
	tb.Helper()
	if n >= len(h.Args) {
		tb.Fatalf("%s has %d arguments", h.Event, len(h.Args))
	}
	if err := json.Unmarshal(h.Args[n], v); err != nil {
		tb.Fatalf("%s: %v: %s", h.Event, err, h.Args[n])
	}
}

// Node is a Node process with clients in it. It belongs to the test's goroutine.
type Node struct {
	tb    testing.TB
	stdin *json.Encoder
	acks  int
	ids   int

	mu   sync.Mutex // guards the following
	all  []Happening
	over bool
}

// Need skips the test unless CONFAB_TEST_NODE is set.
func Need(tb testing.TB) {
	tb.Helper()
	if os.Getenv("CONFAB_TEST_NODE") == "" {
		tb.Skip("needs Node: npm ci in tools/sioclient, then set CONFAB_TEST_NODE=1 (bash .ci/run does)")
	}
}

// dir is this package's folder, where node_modules is.
func dir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

// Start runs clients of a library until the test ends.
func Start(tb testing.TB, library string) *Node {
	tb.Helper()
	Need(tb)
	cmd := exec.Command("node", "driver.mjs", library)
	cmd.Dir, cmd.Stderr = dir(), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	n := &Node{tb: tb, stdin: json.NewEncoder(stdin)}
	var reading sync.WaitGroup
	reading.Go(func() { n.read(bufio.NewReader(stdout)) })
	tb.Cleanup(func() {
		stdin.Close()
		reading.Wait()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("node: %v", err)
		}
	})
	return n
}

func (n *Node) read(r *bufio.Reader) {
	for d := json.NewDecoder(r); ; {
		var h Happening
		err := d.Decode(&h)
		n.mu.Lock()
		if n.over = err != nil; err == nil {
			n.all = append(n.all, h)
		}
		n.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (n *Node) command(name string, fields map[string]any) {
	n.tb.Helper()
	fields["command"] = name
	if err := n.stdin.Encode(fields); err != nil {
		n.tb.Fatalf("node: %v", err)
	}
}

// Socket is one client.
type Socket struct {
	node *Node
	id   string
}

// Open connects to url with the library's options.
func (n *Node) Open(url string, opts map[string]any) *Socket {
	n.tb.Helper()
	n.ids++
	s := &Socket{n, fmt.Sprint("s", n.ids)}
	n.command("open", map[string]any{"id": s.id, "url": url, "opts": opts})
	return s
}

// Emit sends an event without callback.
func (s *Socket) Emit(event string, args ...any) {
	s.node.tb.Helper()
	if args == nil {
		args = []any{}
	}
	s.node.command("emit", map[string]any{"id": s.id, "event": event, "args": args})
}

// Ask sends an event with a callback and decodes the acknowledgement into v.
func (s *Socket) Ask(v any, event string, args ...any) {
	s.node.tb.Helper()
	if args == nil {
		args = []any{}
	}
	s.node.acks++
	ack := s.node.acks
	s.node.command("emit", map[string]any{"id": s.id, "event": event, "args": args, "ack": ack})
	s.node.wait(fmt.Sprintf("the answer to %s", event), func(all []Happening) bool {
		i := slices.IndexFunc(all, func(h Happening) bool { return h.Ack == ack })
		if i >= 0 {
			all[i].Event = event
			all[i].Decode(s.node.tb, 0, v)
		}
		return i >= 0
	})
}

// Disconnect calls the library's disconnect.
func (s *Socket) Disconnect() { s.node.command("disconnect", map[string]any{"id": s.id}) }

// Heard returns the events of a name that were received so far.
func (s *Socket) Heard(event string) []Happening {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	return s.of(event, s.node.all)
}

func (s *Socket) of(event string, all []Happening) []Happening {
	var mine []Happening
	for _, h := range all {
		if h.ID == s.id && h.Event == event && h.Ack == 0 {
			mine = append(mine, h)
		}
	}
	return mine
}

// Wait waits for the n-th event of a name, from 1, and decodes its first argument into v.
func (s *Socket) Wait(event string, n int, v any) {
	s.node.tb.Helper()
	s.node.wait(fmt.Sprint(event, " ", n), func(all []Happening) bool {
		mine := s.of(event, all)
		if len(mine) < n {
			return false
		}
		mine[n-1].Decode(s.node.tb, 0, v)
		return true
	})
}

// Until waits until ok returns true for the events of a name.
func (s *Socket) Until(event, what string, ok func([]Happening) bool) {
	s.node.tb.Helper()
	s.node.wait(what, func(all []Happening) bool { return ok(s.of(event, all)) })
}

func (n *Node) wait(what string, ok func([]Happening) bool) {
	n.tb.Helper()
	var all []Happening
	eventually.True(n.tb, what, func() bool {
		n.mu.Lock()
		var over bool
		all, over = slices.Clone(n.all), n.over
		n.mu.Unlock()
		if ok(all) {
			return true
		}
		if over {
			n.tb.Fatalf("waiting for %s: node has ended", what)
		}
		return false
	}, func() any {
		var names []string
		for _, h := range all {
			names = append(names, fmt.Sprintf("%s:%s%.120s", h.ID, h.Event, h.Args))
		}
		return names
	})
}

// Example runs the example client and returns its error; empty for none.
func Example(tb testing.TB, args ...string) string {
	tb.Helper()
	Need(tb)
	cmd := exec.Command("node", append([]string{"example.mjs"}, args...)...)
	cmd.Dir = dir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return ""
}
