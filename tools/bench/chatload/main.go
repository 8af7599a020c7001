//go:build linux

// Command chatload is a load generator for chat servers over WebSocket: Confab's native and
// Socket.IO protocols, and Centrifugo, so that a comparison can be repeated.
//
//	chatload fanout -rooms 1 -members 1000             # closed loop: deliveries per CPU second
//	chatload fanout -rooms 100 -members 10 -rate 2000  # open loop: latency at a given load
//	chatload idle -connections 19000                   # memory of a connection, handshakes
//	chatload resume, chatload slow                     # see README.md
//
// In the open loop latency counts from when a message was due, so that a server that
// stalls is not spared the messages of that time. -pid or a testbed names the server's
// processes; their processor time and memory come from /proc. Figures per CPU second hold
// on a machine that others use, too. Results are a table, or JSON. The exit code is 3 when
// a message was lost.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/confab-chat/confab/tools/bench/internal/report"
	"github.com/confab-chat/confab/tools/bench/internal/scenario"
)

// exitLost is the exit code of a run that lost a message.
const exitLost = 3

// errLost means that the server broke its promise of delivery.
var errLost = errors.New("messages were lost, came twice, or out of order")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	debug.SetGCPercent(400) // there is little garbage; collect it rarely
	err := run(ctx, os.Args[1:], os.Stdout)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "chatload:", err)
	if errors.Is(err, errLost) {
		os.Exit(exitLost)
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string, out io.Writer) error {
	modes := strings.Join(slices.Sorted(maps.Keys(scenario.All())), ", ")
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return fmt.Errorf("usage: chatload <mode> [flags], with one of the modes %s; chatload <mode> -help lists the flags", modes)
	}
	runScenario := scenario.All()[args[0]]
	if runScenario == nil {
		return fmt.Errorf("unknown mode %q: want %s", args[0], modes)
	}
	f, err := parseFlags(args[0], args[1:])
	if err != nil {
		return err
	}
	if err := f.resolve(); err != nil {
		return err
	}
	results, err := runScenario(ctx, f.Options)
	return errors.Join(err, f.writeResults(out, results), checkLosses(results))
}

// writeResults prints results, and appends them to the file of -json.
func (f *flags) writeResults(out io.Writer, results []report.Result) (err error) {
	if f.json == "-" {
		return report.WriteJSON(out, results)
	}
	if f.json != "" {
		file, err := os.OpenFile(f.json, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if err := errors.Join(report.WriteJSON(file, results), file.Close()); err != nil {
			return err
		}
	}
	return report.WriteTables(out, results)
}

// checkLosses returns errLost when a figure is not zero that must be.
func checkLosses(results []report.Result) error {
	for _, r := range results {
		for _, name := range []string{"missing", "out_of_order", "unanswered"} {
			if v, _ := r.Figures.Get(name); v > 0 {
				return fmt.Errorf("%w: %s %v", errLost, name, v)
			}
		}
	}
	return nil
}
