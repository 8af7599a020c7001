package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Env is the environment a service runs in. It selects defaults and strictness.
type Env string

// The three environments. Development is the default.
const (
	Production  Env = "production"
	Development Env = "development"
	Test        Env = "test"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Env) UnmarshalText(text []byte) error {
	switch v := Env(text); v {
	case Production, Development, Test:
		*e = v
		return nil
	}
	return fmt.Errorf("must be %s, %s or %s", Production, Development, Test)
}

// Common holds the settings that all services have. It is embedded, with the
// service's default for ADMIN_ADDR in its default tag.
type Common struct {
	Env       Env    `env:"ENV" envDefault:"development" doc:"production, development or test: selects defaults; production refuses insecure settings"`
	AdminAddr string `env:"ADMIN_ADDR" example:"127.0.0.1:9101" doc:"listener of /livez, /readyz, /metrics and pprof"`

	NATSURL       string `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222" doc:"NATS servers, comma separated"`
	NATSCredsFile string `env:"NATS_CREDS_FILE" example:"/run/secrets/nats.creds" doc:"credentials file (user JWT and seed) for NATS"`

	EnableMetrics   bool          `env:"ENABLE_METRICS" envDefault:"true" doc:"collect metrics and serve /metrics"`
	LogLevel        slog.Level    `env:"LOG_LEVEL" envDefault:"debug" production:"info" doc:"debug, info, warn or error"`
	LogFormat       string        `env:"LOG_FORMAT" envDefault:"json" development:"text" oneof:"json text" doc:"json: one object per line; text: for people"`
	ReadyNATSGrace  time.Duration `env:"READY_NATS_GRACE" envDefault:"30s" min:"0s" doc:"how long NATS may be unreachable before /readyz fails; 0: never fails for that"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"70s" min:"1s" doc:"longest time from the first SIGTERM to the exit"`
}

// Base returns the common part of settings that embed Common; lifecycle.Main reads it.
func (c Common) Base() Common { return c }

// Validate checks everything that needs no network.
func (c Common) Validate(Env) []Problem {
	found := CheckAddr("ADMIN_ADDR", c.AdminAddr)
	for server := range strings.SplitSeq(c.NATSURL, ",") {
		if server = strings.TrimSpace(server); !strings.Contains(server, "://") {
			server = "nats://" + server // the client library adds it as well
		}
		if u, err := url.Parse(server); err != nil || u.Hostname() == "" {
			found = append(found, Bad("NATS_URL", "must be addresses of NATS servers", "nats://127.0.0.1:4222"))
			break
		}
	}
	if c.NATSCredsFile != "" {
		if err := readable(c.NATSCredsFile); err != nil {
			found = append(found, Bad("NATS_CREDS_FILE", "cannot be read: "+cause(err), ""))
		}
	}
	return found
}

// CheckAddr is a rule for a Validator: it returns a problem unless addr, the value of
// the variable name, is an address to listen on.
func CheckAddr(name, addr string) []Problem {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return []Problem{Bad(name, "must be host:port or :port", "127.0.0.1:9101")}
	}
	return nil
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// cause returns a file error without the path, which the problem shows already.
func cause(err error) string {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
