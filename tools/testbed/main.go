// Command testbed runs a command beside the suite as it ships: the built services and a
// nats-server, each a process of its own, without limits, on free ports. Load tools find the
// suite by the file that the variable TESTBED_SUITE names:
//
//	go run ./tools/testbed go -C tools/bench run ./chatload fanout -rooms 1 -members 1000
//
// Without a command it runs until it is interrupted. Every repetition gets a new suite.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/confab-chat/confab/tools/internal/cluster"
)

// spareFiles is the number of descriptors that an edge needs besides its connections.
const spareFiles = 200

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			os.Exit(exit.ExitCode())
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	fs := flag.NewFlagSet("testbed", flag.ExitOnError)
	root := fs.String("root", ".", "the workspace, to build from")
	bin := fs.String("bin", "", "folder with built services and nats-server; empty: build them")
	keep := fs.String("dir", "", "folder for logs and NATS's files, which stay; empty: a temporary one")
	repeat := fs.Int("repeat", 1, "how often to start a suite and run the command")
	warm := fs.Bool("warm", false, "keep the stored messages of the previous repetition, or of an earlier run in -dir: owners find rooms with a history")
	o := options{}
	fs.IntVar(&o.edges, "edges", 1, "edges")
	connections := fs.Int("for", 0, "start as many edges as this many connections need, given the limit of descriptors for a process; instead of -edges")
	fs.IntVar(&o.rooms, "rooms", 1, "instances of room")
	fs.StringVar(&o.durability, "durability", "fast", "fast, or durable")
	fs.BoolVar(&o.tls, "tls", false, "edges speak TLS, with a certificate made for the run; chatload then does, too")
	env := fs.String("env", "", "further settings of all services: CONFAB_A=1,CONFAB_B=2")
	edgeEnv := fs.String("edge-env", "", "further settings of the edges")
	_ = fs.Parse(args) // it exits on an error
	o.env, o.edgeEnv = settings(*env), settings(*edgeEnv)
	limit, err := raiseFiles()
	if err != nil {
		return err
	}
	if *connections > 0 {
		o.edges = (*connections + limit - spareFiles - 1) / (limit - spareFiles)
		fmt.Fprintf(os.Stderr, "testbed: %d descriptors a process, %d edges\n", limit, o.edges)
	}
	dir := *keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "testbed-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(dir)
			}
		}()
	}
	if dir, err = filepath.Abs(dir); err != nil { // the command may run in another folder
		return err
	}
	if o.bin = *bin; o.bin == "" {
		o.bin = filepath.Join(dir, "bin")
		if err := cluster.BuildShipped(ctx, *root, o.bin); err != nil {
			return err
		}
	}
	for i := range *repeat {
		if o.dir = filepath.Join(dir, fmt.Sprint("run", i+1)); *warm {
			o.dir = filepath.Join(dir, "warm")
		} else if err := removeStore(o.dir); err != nil { // rooms of an earlier run are full
			return err
		}
		if err := once(ctx, o, fs.Args()); err != nil {
			return err
		}
	}
	return nil
}

func settings(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// once starts a suite, runs the command, and ends the suite.
func once(ctx context.Context, o options, command []string) (err error) {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	running, described, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.Close()) }()
	file := filepath.Join(o.dir, "suite.json")
	if err := described.write(file); err != nil {
		return err
	}
	if len(command) == 0 {
		fmt.Printf("the suite runs: export %s=%s\n", suiteEnv, file)
		<-ctx.Done()
		return nil
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), suiteEnv+"="+file)
	return cmd.Run()
}
