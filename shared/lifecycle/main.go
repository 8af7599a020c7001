package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/confab-chat/confab/shared/admin"
	"github.com/confab-chat/confab/shared/config"
	"github.com/confab-chat/confab/shared/telemetry"
)

// Settings are the settings of a service: a struct that embeds config.Common.
type Settings interface{ Base() config.Common }

// Service describes a service to Main. C is its settings, as shared/config loads them.
type Service[C Settings] struct {
	Name    string
	Summary string // one line, for --help
	Run     func(context.Context, C, Deps) error
}

// Main runs a service as this process: it handles arguments, settings, telemetry, the
// admin listener and signals. It does not return. version comes from the linker.
func Main[C Settings](s Service[C], version string) {
	os.Exit(run(s, Version(version), os.Args[1:], os.Stdout, os.Stderr))
}

func run[C Settings](s Service[C], version string, args []string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "-h", "-help", "--help", "help":
		help[C](stdout, s.Name, s.Summary)
		return ExitOK
	case "-version", "--version", "version":
		printVersion(stdout, s.Name, version, slices.Contains(args, "--json"))
		return ExitOK
	}
	cfg, err := config.Load[C](os.Environ())
	if err != nil {
		return Explain(stderr, err)
	}
	switch {
	case command == "serve" && len(args) <= 1:
		return Serve(cfg.Base().ShutdownTimeout, stderr, func(ctx context.Context) error {
			return serve(ctx, s, cfg, version)
		})
	case command == "config" && slices.Equal(args[1:], []string{"check"}):
		fmt.Fprintln(stdout, "settings are fine")
		return ExitOK
	case command == "healthcheck":
		return Healthcheck(cfg.Base().AdminAddr, stderr)
	}
	fmt.Fprintf(stderr, "%s: unknown argument %q; try %s --help\n", s.Name, command, s.Name)
	return ExitUsage
}

// serve runs one service with its own telemetry and admin listener.
func serve[C Settings](ctx context.Context, s Service[C], cfg C, version string) error {
	p := cfg.Base()
	id := NewIdentity(s.Name, version)
	tel, err := telemetry.New(ctx, telemetry.Options{
		Service: id.Service, Instance: id.Instance, Version: version,
		LogLevel: p.LogLevel, LogText: p.LogFormat == "text", NoMetrics: !p.EnableMetrics,
	})
	if err != nil {
		return &config.Error{Problems: []config.Problem{{Reason: err.Error()}}}
	}
	defer Flush(tel)
	ln, err := Listen("CONFAB_ADMIN_ADDR", p.AdminAddr)
	if err != nil {
		return err
	}
	probes := admin.New()
	if p.EnableMetrics {
		probes.Metrics(tel.Gatherer)
	}
	probes.Starting(s.Name)
	// The probes outlive the service, so that a load balancer sees the drain.
	return RunParts(ctx,
		Part{"admin", func(ctx context.Context) error { return probes.Serve(ctx, ln) }},
		Part{s.Name, func(ctx context.Context) error {
			return s.Run(ctx, cfg, Deps{Identity: id, Telemetry: tel, Admin: probes})
		}},
	)
}

// Serve calls run with a context that the first SIGINT or SIGTERM ends, and returns the
// exit code for run's error. A second signal ends the process at once, and so does a
// shutdown that takes longer than limit.
func Serve(limit time.Duration, stderr io.Writer, run func(context.Context) error) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(context.Background())
	var memory sync.WaitGroup
	defer memory.Wait()
	defer cancel()
	memory.Go(func() { returnMemory(ctx) })
	result := make(chan error, 1)
	go func() { result <- run(ctx) }() // waited for, unless the process ends first
	var expired <-chan time.Time
	for stopping := false; ; {
		select {
		case err := <-result:
			return Explain(stderr, err)
		case sig := <-signals:
			if stopping {
				fmt.Fprintln(stderr, "stopped by the second signal")
				return signalOffset + int(sig.(syscall.Signal))
			}
			stopping = true
			cancel()
			timer := time.NewTimer(limit)
			defer timer.Stop()
			expired = timer.C
		case <-expired:
			fmt.Fprintf(stderr, "still running %v after the signal: stopped\n", limit)
			return ExitFailure
		}
	}
}

// Explain prints an error as lines that a person can act on, and returns its exit code.
func Explain(stderr io.Writer, err error) int {
	if err == nil {
		return ExitOK
	}
	if problems, ok := errors.AsType[*config.Error](err); ok {
		for _, line := range problems.Problems {
			fmt.Fprintln(stderr, line)
		}
		return ExitConfig
	}
	if failed, ok := errors.AsType[*IOError](err); ok {
		fmt.Fprintln(stderr, failed)
		return ExitIO
	}
	fmt.Fprintln(stderr, err)
	return ExitFailure
}

// flushWait bounds the final export of telemetry.
const flushWait = 2 * time.Second

// Flush exports what is still queued, and logs a failure.
func Flush(tel *telemetry.Telemetry) {
	ctx, cancel := context.WithTimeout(context.Background(), flushWait)
	defer cancel()
	if err := tel.Shutdown(ctx); err != nil {
		tel.Logger.Warn("some telemetry was not exported", "err", err)
	}
}

func help[C any](w io.Writer, name, summary string) {
	fmt.Fprintf(w, "%s: %s\n\n", name, summary)
	fmt.Fprintf(w, "  %s                 serve\n", name)
	fmt.Fprintf(w, "  %s config check    check the settings and list every problem\n", name)
	fmt.Fprintf(w, "  %s healthcheck     request /readyz of the running service, exit 0 or 1\n", name)
	fmt.Fprintf(w, "  %s version         print the version [--json]\n\n", name)
	fmt.Fprintln(w, "Settings come from the environment:")
	fmt.Fprintln(w)
	if err := config.Table[C](w); err != nil { // a mistake in the tags
		fmt.Fprintln(w, err)
	}
}

// Version returns the version set by the linker, else the revision that the build recorded.
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "devel-" + s.Value[:12]
			}
		}
	}
	return "devel"
}

func printVersion(w io.Writer, name, version string, asJSON bool) {
	if !asJSON {
		fmt.Fprintf(w, "%s %s (%s, wire v1)\n", name, version, runtime.Version())
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"name": name, "version": version, "go": runtime.Version(), "wire": "v1"})
}

// Healthcheck requests /readyz of the process on this machine whose admin listener is at
// addr. It returns an exit code.
func Healthcheck(addr string, stderr io.Writer) int {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return ExitConfig
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://" + net.JoinHostPort(host, port) + "/readyz")
	if err != nil {
		fmt.Fprintln(stderr, err)
		return ExitFailure
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		fmt.Fprintln(stderr, resp.Status)
		return ExitFailure
	}
	return ExitOK
}
