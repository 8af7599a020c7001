// Command confab is the whole suite in one process: an embedded nats-server with
// JetStream and the four services, for development, tests and single-node installs.
//
//	confab                     serve: chat on :3001, monitor on :3002
//	confab token -user alice   print a development token
//	confab version
//	confab -help
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/lifecycle"
	"github.com/confab-chat/confab/tools/internal/suite"
)

// version is set by the linker.
var version string

func main() {
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

func run(args, environ []string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "-h", "-help", "--help", "help":
		return lifecycle.Explain(stderr, help(stdout))
	case "version", "-version", "--version":
		fmt.Fprintln(stdout, "confab "+lifecycle.Version(version))
		return lifecycle.ExitOK
	case "token":
		return token(args, environ, stdout, stderr)
	case "healthcheck", "config":
		return check(command, args, environ, stdout, stderr)
	case "serve":
		if len(args) == 0 {
			return start(environ, stdout, stderr)
		}
		command += " " + args[0]
	}
	return unknown(command, stderr)
}

func unknown(command string, stderr io.Writer) int {
	fmt.Fprintf(stderr, "confab: unknown argument %q; try confab -help\n", command)
	return lifecycle.ExitUsage
}

// check is "config check" and "healthcheck", as the services have them.
func check(command string, args, environ []string, stdout, stderr io.Writer) int {
	if command == "config" && !slices.Equal(args, []string{"check"}) || command == "healthcheck" && len(args) > 0 {
		return unknown(strings.Join(append([]string{command}, args...), " "), stderr)
	}
	s, err := suite.Load(environ)
	if err != nil {
		return lifecycle.Explain(stderr, err)
	}
	if command == "healthcheck" {
		return lifecycle.Healthcheck(s.AdminAddr(), stderr)
	}
	fmt.Fprintln(stdout, "settings are fine")
	return lifecycle.ExitOK
}

func start(environ []string, stdout, stderr io.Writer) int {
	s, err := suite.Load(environ)
	if err != nil {
		return lifecycle.Explain(stderr, err)
	}
	return lifecycle.Serve(s.ShutdownTimeout(), stderr, func(ctx context.Context) error {
		return suite.Serve(ctx, s, lifecycle.Version(version), stdout)
	})
}

func help(w io.Writer) error {
	fmt.Fprint(w, `confab: the whole suite in one process, with an embedded NATS server

  confab                     serve: chat on :3001, monitor on :3002
  confab token -user alice   print a token for a user (-name "Alice", -ttl 24h)
  confab config check        check the settings, list every problem, and exit
  confab healthcheck         ask /readyz of the one that runs here
  confab version             print the version

Settings come from the environment. With CONFAB_NATS_URL set, that NATS is used
instead of the embedded one.

`)
	return suite.PrintSettings(w)
}

// token signs a token with the secret that the edge of this folder checks with.
func token(args, environ []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("confab token", flag.ContinueOnError)
	fs.SetOutput(stderr)
	user := fs.String("user", "", "the user's id (claim sub); required")
	name := fs.String("name", "", "display name; the id when empty")
	ttl := fs.Duration("ttl", 24*time.Hour, "how long it is good")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return lifecycle.ExitOK
	case err != nil:
		return lifecycle.ExitUsage
	case *user == "" || fs.NArg() > 0:
		fmt.Fprintln(stderr, "confab token: -user is required, and nothing else: confab token -user alice")
		return lifecycle.ExitUsage
	case !event.ValidUserID(*user):
		fmt.Fprintln(stderr, "confab token: a user id has 1 to 128 bytes, all of them visible characters")
		return lifecycle.ExitUsage
	case *ttl <= 0:
		fmt.Fprintln(stderr, "confab token: -ttl must be more than 0")
		return lifecycle.ExitUsage
	}
	type settings struct {
		Env     config.Env    `env:"ENV" envDefault:"development"`
		DataDir string        `env:"DATA_DIR" envDefault:"./.confab"`
		Secret  config.Secret `env:"AUTH_HMAC_SECRET"`
	}
	cfg, err := config.Load[settings](environ)
	if err != nil {
		return lifecycle.Explain(stderr, err)
	}
	secret := []byte(cfg.Secret.Value())
	switch {
	case len(secret) > 0:
	case cfg.Env == config.Production:
		fmt.Fprintln(stderr, "confab token: in production set CONFAB_AUTH_HMAC_SECRET or CONFAB_AUTH_HMAC_SECRET_FILE")
		return lifecycle.ExitConfig
	default:
		if err := suite.PrepareDataDir(cfg.DataDir); err != nil {
			return lifecycle.Explain(stderr, err)
		}
		if secret, err = devtoken.Secret(cfg.DataDir); err != nil {
			return lifecycle.Explain(stderr, &lifecycle.IOError{What: "CONFAB_DATA_DIR=" + cfg.DataDir, Err: err})
		}
	}
	if strings.TrimSpace(*name) == "" {
		*name = *user
	}
	fmt.Fprintln(stdout, devtoken.Mint(secret, *user, *name, time.Now(), *ttl))
	return lifecycle.ExitOK
}
