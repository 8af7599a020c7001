// Command chatload is a load generator for chat servers over WebSocket: Confab by its
// native and its Socket.IO door, and its peers, so that a comparison can be repeated.
//
//	chatload fanout -rooms 1 -members 1000             # closed loop: deliveries by second of processor
//	chatload fanout -rooms 100 -members 10 -rate 2000  # open loop: latency at a given load
//	chatload sweep -rooms 10 -members 100 -rates 500,1000,2000 -svg latency.svg
//	chatload idle -connections 20000                   # bytes of a connection
//	chatload slow, echo, churn, resume, scale, table   # see README.md
//
// In the open loop latency counts from when a message was due, so that a server that
// stalls is not spared what would have come meanwhile. The server's processor time and
// memory come from /proc by -pid, and figures by second of processor time hold on a
// machine that others use too. Results are a table for people, or JSON. It exits with
// 3 when a message was lost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/confab-chat/confab/tools/chatload/internal/report"
	"github.com/confab-chat/confab/tools/chatload/internal/scenario"
)

// exitLost is the exit code of a run that lost a message.
const exitLost = 3

// errLost is why.
var errLost = errors.New("messages were lost, came twice, or out of order")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	debug.SetGCPercent(400) // the little garbage there is costs memory rather than time
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

func modes() []string {
	names := []string{"scale", "table"}
	for name := range scenario.All() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return fmt.Errorf("what? %s, with -help after it", strings.Join(modes(), ", "))
	}
	mode, args := args[0], args[1:]
	switch mode {
	case "table":
		return table(args, out)
	case "scale", "hold":
		return scale(ctx, mode, args, out)
	}
	do := scenario.All()[mode]
	if do == nil {
		return fmt.Errorf("no mode %q: there are %s", mode, strings.Join(modes(), ", "))
	}
	f, err := parse(mode, args)
	if err != nil {
		return err
	}
	if err := f.resolve(ctx); err != nil {
		return err
	}
	results, err := do(ctx, f.Options)
	return errors.Join(err, f.publish(out, results))
}

// publish prints results, stores them, and draws them.
func (f *flags) publish(out io.Writer, results []report.Result) error {
	if f.json == "-" {
		if err := writeLines(out, results); err != nil {
			return err
		}
	} else if err := writeTables(out, results); err != nil {
		return err
	}
	if f.json != "" && f.json != "-" {
		if err := appendLines(f.json, results); err != nil {
			return err
		}
	}
	if f.svg != "" {
		if err := os.WriteFile(f.svg, draw(f.Label, results), 0o644); err != nil {
			return err
		}
	}
	return lost(results)
}

// lost is errLost when there is a figure that must be zero and is not.
func lost(results []report.Result) error {
	for _, r := range results {
		for _, name := range []string{"missing", "out_of_order", "unanswered"} {
			if v, _ := r.Figures.Get(name); v > 0 {
				return fmt.Errorf("%w: %s %v", errLost, name, v)
			}
		}
	}
	return nil
}

func writeLines(w io.Writer, results []report.Result) error {
	e := json.NewEncoder(w)
	for _, r := range results {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func appendLines(file string, results []report.Result) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(writeLines(f, results), f.Close())
}
