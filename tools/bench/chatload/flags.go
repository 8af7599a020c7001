//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/confab-chat/confab/tools/bench/internal/dialect"
	"github.com/confab-chat/confab/tools/bench/internal/scenario"
	"github.com/confab-chat/confab/tools/bench/internal/stamp"
	"github.com/confab-chat/confab/tools/bench/internal/usage"
)

const (
	// secretVariable is the edge's setting of the same secret.
	secretVariable = "CONFAB_AUTH_HMAC_SECRET"
	// maxContent is how many bytes Confab accepts as a message.
	maxContent = 2000
)

// flags is the command line. resolve fills the rest of Options.
type flags struct {
	scenario.Options
	addr, ca, secret, namespace, pids, suite, json string
	insecure, quiet                                bool
}

// parseFlags parses what follows the mode. It exits on -help and on an unknown flag.
func parseFlags(mode string, args []string) (*flags, error) {
	f := &flags{}
	fs := flag.NewFlagSet("chatload "+mode, flag.ExitOnError)
	fs.StringVar(&f.addr, "addr", "127.0.0.1:3001", "servers, host:port or wss://host:port, comma separated; connections take turns")
	fs.StringVar(&f.ca, "ca", "", "wss: file with the certificates (PEM) to trust; empty: the system's")
	fs.BoolVar(&f.insecure, "insecure", false, "wss: trust any certificate")
	fs.StringVar(&f.DialectName, "dialect", "native", strings.Join(dialect.Names(), ", "))
	fs.StringVar(&f.namespace, "namespace", "/chat", "sio: the namespace")
	fs.StringVar(&f.secret, "secret", os.Getenv(secretVariable), "HS256 secret to sign tokens with; empty: that of a development server, from .confab in this folder or one above it")
	fs.StringVar(&f.pids, "pid", "", "the server's processes, to measure their cost: 123, or edge=123,room=124")
	fs.StringVar(&f.suite, "suite", os.Getenv(suiteVariable), "description of a suite that testbed started, instead of -addr, -secret and -pid")
	fs.StringVar(&f.Label, "label", "", "copied to the result")
	fs.IntVar(&f.Runs, "runs", 1, "fanout, slow, resume: how often to measure; the table shows medians and the spread")
	fs.IntVar(&f.FirstSource, "source", 0, "number of the first source address in 127.1.0.0/16, of the first million of users, and of the rooms; differs between generators that run side by side")
	fs.StringVar(&f.json, "json", "", "append results to this file, one JSON object a line; -: print them instead of the table")
	fs.BoolVar(&f.quiet, "quiet", false, "no progress lines")

	fs.IntVar(&f.Connections, "connections", 1000, "idle, resume: connections")
	fs.IntVar(&f.AtOnce, "at-once", 128, "connections that are opened and joined at a time; resume: clients")
	fs.IntVar(&f.Rooms, "rooms", 1, "fanout, slow: rooms")
	fs.IntVar(&f.Members, "members", 10, "members of each room; idle: 0 joins none")
	fs.IntVar(&f.Publishers, "publishers", 1, "fanout, slow: members of each room that publish, in turn")
	fs.IntVar(&f.Window, "window", 8, "fanout, slow, closed loop: messages of each room in flight, which not all members have yet")
	fs.Float64Var(&f.Rate, "rate", 0, "fanout, slow: messages a second over all rooms; 0: closed loop")
	fs.IntVar(&f.Burst, "burst", 1, "fanout, slow, open loop: messages that are due together")
	fs.IntVar(&f.Size, "size", 128, "bytes of a message")
	fs.IntVar(&f.Stalled, "stalled", 200, "slow: further members that never read")
	fs.IntVar(&f.Missed, "missed", 1000, "resume: messages to miss")
	fs.DurationVar(&f.Warm, "warm", 2*time.Second, "fanout, slow: time before measuring")
	fs.DurationVar(&f.Duration, "duration", 8*time.Second, "fanout, slow: time to measure")
	fs.DurationVar(&f.Settle, "settle", 10*time.Second, "idle: time until memory is read")
	fs.DurationVar(&f.Patience, "patience", 2*time.Minute, "longest time for opening, for joining, and for messages on their way")
	_ = fs.Parse(args) // exits on an error
	f.Mode = mode
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected %q", fs.Arg(0))
	}
	return f, f.check()
}

// check returns an error for each value that no scenario can work with.
func (f *flags) check() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int
	}{
		{"runs", f.Runs}, {"connections", f.Connections}, {"at-once", f.AtOnce}, {"rooms", f.Rooms}, {"publishers", f.Publishers},
		{"window", f.Window}, {"burst", f.Burst}, {"missed", f.Missed}, {"stalled", f.Stalled},
	} {
		if n.value < 1 {
			errs = append(errs, fmt.Errorf("-%s must be at least 1", n.name))
		}
	}
	if f.Size < stamp.Size || f.Size > maxContent {
		errs = append(errs, fmt.Errorf("-size must be %d, for the stamp in each message, to %d", stamp.Size, maxContent))
	}
	if f.Members < 0 || f.Mode != "idle" && f.Members == 0 {
		errs = append(errs, errors.New("-members must be at least 1"))
	}
	return errors.Join(errs...)
}

// resolve finds the server, and sets the options that depend on it.
func (f *flags) resolve() (err error) {
	if f.Dialect, err = dialect.Named(f.DialectName, f.namespace); err != nil {
		return err
	}
	if f.suite != "" {
		err = f.resolveSuite()
	} else if err = f.resolveAddr(); err == nil {
		f.Groups, err = usage.ParseGroups(f.pids)
	}
	if err != nil {
		return err
	}
	if !f.quiet {
		f.Progress = os.Stderr
	}
	if f.Dialect.Traits().Token {
		f.Token, err = newTokens(f.secret, f.FirstSource*usersPerSource)
	}
	return err
}
