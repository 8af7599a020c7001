package main

import (
	"encoding/json"
	"os"
)

// suiteEnv is the environment variable that names a file with a suite.
const suiteEnv = "TESTBED_SUITE"

// suite describes a running cluster to load tools.
type suite struct {
	Secret    string   `json:"secret"`       // HS256, of tokens
	CA        string   `json:"ca,omitempty"` // file with the certificate of edges that speak TLS; empty: no TLS
	Processes []member `json:"processes"`
}

// member is one process of a suite. Addresses are host:port, empty where there is none.
type member struct {
	Name  string `json:"name"` // edge, room, ratelimit, monitor, nats
	Pid   int    `json:"pid"`
	Addr  string `json:"addr,omitempty"`  // of clients
	Admin string `json:"admin,omitempty"` // metrics and profiles
}

// write writes s to a file that only its owner can read, because of the secret in it.
func (s suite) write(file string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o600)
}
