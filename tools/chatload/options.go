package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/confab-chat/confab/tools/chatload/internal/dialect"
	"github.com/confab-chat/confab/tools/chatload/internal/proc"
	"github.com/confab-chat/confab/tools/chatload/internal/scenario"
	"github.com/confab-chat/confab/tools/internal/testbed"
)

// usersPerSource keeps the users of generators with different -source apart.
const usersPerSource = 1_000_000

// secretVariable is where the edge has the secret from, too.
const secretVariable = "CONFAB_AUTH_HMAC_SECRET"

// flags are the command line's, before they mean anything.
type flags struct {
	scenario.Options
	addr, secret, namespace, pids, suite, rates string
	ca, json, svg                               string
	insecure, quiet                             bool
}

func parse(mode string, args []string) (*flags, error) {
	f := &flags{}
	fs := flag.NewFlagSet("chatload "+mode, flag.ExitOnError)
	fs.StringVar(&f.addr, "addr", "127.0.0.1:3001", "servers, host:port or wss://host:port, comma separated; connections go round")
	fs.StringVar(&f.ca, "ca", "", "wss: certificates (PEM) to trust; empty: the system's")
	fs.BoolVar(&f.insecure, "insecure", false, "wss: trust any certificate")
	fs.StringVar(&f.DialectName, "dialect", "native", strings.Join(dialect.Names(), ", "))
	fs.StringVar(&f.namespace, "namespace", "/chat", "sio: the namespace")
	fs.StringVar(&f.secret, "secret", os.Getenv(secretVariable), "HS256 secret to sign tokens with; empty: that of a development server in ./.confab, or else one token from its /dev/token")
	fs.StringVar(&f.pids, "pid", "", "the server's processes, to count their cost: 123, or edge=123,room=124")
	fs.StringVar(&f.suite, "suite", os.Getenv(testbed.Variable), "description of a testbed, instead of -addr, -secret and -pid")
	fs.StringVar(&f.Label, "label", "", "copied to the result")
	fs.IntVar(&f.Runs, "runs", 1, "how often to measure; the table shows medians and the spread")
	fs.IntVar(&f.FirstSource, "source", 0, "number of the first source address in 127.1.0.0/16 and of the first million of users")
	fs.StringVar(&f.json, "json", "", "append results to this file, one JSON object a line; -: print them instead of the table")
	fs.StringVar(&f.svg, "svg", "", "sweep: draw latency over load into this file")
	fs.BoolVar(&f.quiet, "quiet", false, "no progress lines")

	fs.IntVar(&f.Connections, "connections", 1000, "idle, echo, resume, scale: connections")
	fs.IntVar(&f.AtOnce, "at-once", 128, "handshakes in progress at a time; resume: clients")
	fs.IntVar(&f.Rooms, "rooms", 1, "fanout, sweep, slow, churn: rooms")
	fs.IntVar(&f.Members, "members", 10, "fanout, sweep, slow: members of each room; idle, scale: of each room, 0: none is joined")
	fs.IntVar(&f.Publishers, "publishers", 1, "fanout, sweep, slow: members of each room that publish, in turn")
	fs.IntVar(&f.Window, "window", 8, "fanout, slow, closed loop: messages of each room that not all have yet")
	fs.Float64Var(&f.Rate, "rate", 0, "a second: messages of all rooms (fanout, slow), requests (echo), arrivals (churn); 0: closed loop")
	fs.StringVar(&f.rates, "rates", "", "sweep: rates, comma separated")
	fs.IntVar(&f.Burst, "burst", 1, "fanout, slow, open loop: messages that are due together")
	fs.IntVar(&f.Size, "size", 128, "bytes of a message")
	fs.IntVar(&f.Stalled, "stalled", 200, "slow: further members that never read")
	fs.IntVar(&f.Missed, "missed", 1000, "resume: messages to miss")
	fs.DurationVar(&f.Warm, "warm", 2*time.Second, "before measuring")
	fs.DurationVar(&f.Duration, "duration", 8*time.Second, "to measure")
	fs.DurationVar(&f.Settle, "settle", 10*time.Second, "idle, scale: until memory is read")
	fs.DurationVar(&f.Pause, "pause", time.Second, "scale: between two messages to all")
	fs.DurationVar(&f.Life, "life", 5*time.Second, "churn: of one connection")
	fs.DurationVar(&f.Patience, "patience", 2*time.Minute, "for opening, joining, and for what is still on its way")
	_ = fs.Parse(args) // it exits by itself
	f.Mode = mode
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected %q", fs.Arg(0))
	}
	return f, f.check()
}

// check finds what no scenario can work with.
func (f *flags) check() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int
	}{{"runs", f.Runs}, {"connections", f.Connections}, {"at-once", f.AtOnce}, {"rooms", f.Rooms}, {"publishers", f.Publishers}, {"window", f.Window}, {"burst", f.Burst}, {"missed", f.Missed}, {"stalled", f.Stalled}} {
		if n.value < 1 {
			errs = append(errs, fmt.Errorf("-%s must be at least 1", n.name))
		}
	}
	if f.Size < 26 || f.Size > 2000 {
		errs = append(errs, errors.New("-size must be 26 to 2000: the mark of a message needs 26 bytes, and Confab takes 2000"))
	}
	fans := f.Mode == "fanout" || f.Mode == "sweep" || f.Mode == "slow"
	if f.Members < 0 || fans && f.Members == 0 {
		errs = append(errs, errors.New("-members must be at least 1"))
	}
	if f.Mode == "churn" && f.Rate <= 0 {
		errs = append(errs, errors.New("churn needs a -rate"))
	}
	for s := range strings.SplitSeq(f.rates, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		rate, err := strconv.ParseFloat(s, 64)
		if err != nil || rate <= 0 {
			errs = append(errs, fmt.Errorf("-rates: %q is no rate", s))
		}
		f.Rates = append(f.Rates, rate)
	}
	if f.Mode == "sweep" && len(f.Rates) == 0 {
		errs = append(errs, errors.New("sweep needs -rates"))
	}
	return errors.Join(errs...)
}

// resolve finds the server and makes the rest of the options.
func (f *flags) resolve(ctx context.Context) (err error) {
	if f.Dialect, err = dialect.Named(f.DialectName, f.namespace); err != nil {
		return err
	}
	if f.suite != "" {
		err = f.fromSuite()
	} else {
		err = f.fromFlags()
	}
	if err != nil {
		return err
	}
	f.Proc = os.DirFS("/proc")
	if !f.quiet {
		f.Progress = os.Stderr
	}
	if f.secret == "" {
		f.secret, err = developmentSecret(dataDir)
		if err != nil {
			return err
		}
	}
	if f.Dialect.Traits().Token {
		f.Token, err = tokens(ctx, f.secret, f.Targets[0], f.TLS, f.FirstSource*usersPerSource)
	}
	return err
}

func (f *flags) fromFlags() (err error) {
	if err := f.fromAddr(); err != nil {
		return err
	}
	f.Groups, err = proc.ParseGroups(f.pids)
	return err
}

func (f *flags) fromSuite() error {
	s, err := testbed.Read(f.suite)
	if err != nil {
		return err
	}
	f.secret = s.Secret
	if s.CA != "" {
		f.ca = s.CA
		if err := f.trust(""); err != nil { // the names are addresses
			return err
		}
	}
	for _, p := range s.Named("edge") {
		addr, err := netip.ParseAddrPort(p.Addr)
		if err != nil {
			return fmt.Errorf("%s: %w", f.suite, err)
		}
		f.Targets = append(f.Targets, addr)
	}
	if len(f.Targets) == 0 {
		return fmt.Errorf("%s: no edge", f.suite)
	}
	for _, name := range []string{"edge", "room", "nats", "ratelimit", "monitor"} {
		g := proc.Group{Name: name}
		for _, p := range s.Named(name) {
			g.Pids = append(g.Pids, p.Pid)
		}
		if len(g.Pids) > 0 {
			f.Groups = append(f.Groups, g)
		}
	}
	return nil
}
