// Package testbed runs the suite as it ships, every service a process of its own
// around a nats-server, for measurements: built binaries, ports that the kernel
// chose, limits off. What it started is described by a Suite, which load tools read.
package testbed

import (
	"encoding/json"
	"fmt"
	"os"
)

// Variable is the environment variable that names a file with a Suite.
const Variable = "TESTBED_SUITE"

// Suite is what runs.
type Suite struct {
	Secret    string    `json:"secret"`       // HS256, of tokens
	CA        string    `json:"ca,omitempty"` // file with the certificate of edges that speak TLS; empty: they do not
	Processes []Process `json:"processes"`
}

// Process is one of them. Addresses are host:port, empty where there is none.
type Process struct {
	Name  string `json:"name"` // edge, room, ratelimit, monitor, nats
	Pid   int    `json:"pid"`
	Addr  string `json:"addr,omitempty"`  // of clients
	Admin string `json:"admin,omitempty"` // metrics and profiles
}

// Named are the processes of one name, in the order in which they were started.
func (s Suite) Named(name string) (found []Process) {
	for _, p := range s.Processes {
		if p.Name == name {
			found = append(found, p)
		}
	}
	return found
}

// Read reads what Write has written.
func Read(file string) (s Suite, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// Write writes s to a file that only its owner can read, for the secret in it.
func (s Suite) Write(file string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o600)
}
