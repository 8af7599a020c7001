// Package lifecycle runs a Confab process: it handles arguments, settings, signals and
// exit codes, and stops the parts of a service in the reverse order of their start.
package lifecycle

import (
	"crypto/rand"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/heartbeat"
	"github.com/confab-chat/confab/shared/telemetry"
)

// Exit codes of the built binaries (those of sysexits.h where it defines one).
const (
	ExitOK       = 0
	ExitFailure  = 1
	ExitUsage    = 2
	ExitIO       = 74 // a port is taken, a folder cannot be written
	ExitConfig   = 78 // settings
	ExitInt      = 130
	ExitTerm     = 143
	signalOffset = 128
)

// Identity names one start of one service.
type Identity struct {
	Service  string
	Instance string // unique among the instances of a service; one subject token
	Gen      uint64 // new at every start
	Version  string
}

// NewIdentity returns an identity for this start. The instance is the host's name with a
// random suffix, so that two processes on one host differ.
func NewIdentity(service, version string) Identity {
	host, _ := os.Hostname() // the random end is enough
	host = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(host))
	return Identity{
		Service:  service,
		Instance: strings.TrimPrefix(host[:min(len(host), 32)]+"-"+strings.ToLower(rand.Text()[:8]), "-"),
		Gen:      heartbeat.NewGen(time.Now()),
		Version:  version,
	}
}

// Deps are the dependencies that a service's Run receives.
type Deps struct {
	Identity
	NATS      nats.InProcessConnProvider // an embedded server; nil: connect to the URL of the settings
	Telemetry *telemetry.Telemetry
	// OpenListener replaces the package's Listen, for a simulation without sockets. Nil: TCP.
	OpenListener func(variable, addr string) (net.Listener, error)
	// Admin is served by the code that created it. It is not ready until the service
	// has registered a readiness check under its own name.
	Admin *admin.Server
}

// IOError means that a port or folder cannot be used: exit code 74.
type IOError struct {
	What string // the setting and its value
	Err  error
}

// Error implements error.
func (e *IOError) Error() string { return e.What + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *IOError) Unwrap() error { return e.Err }
