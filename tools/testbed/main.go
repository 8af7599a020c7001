// Command testbed runs a command beside the suite as it ships: the built services and
// a nats-server, each a process of its own, limits off, on ports that the kernel chose.
// Load tools find it by the file that the variable TESTBED_SUITE names:
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

	"github.com/confab-chat/confab/tools/internal/testbed"
)

// spareFiles is what an edge needs of descriptors beside its connections.
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
	warm := fs.Bool("warm", false, "keep the log of the repetition before, or of an earlier run in -dir: owners find rooms with a past")
	o := testbed.Options{}
	fs.IntVar(&o.Edges, "edges", 1, "edges")
	connections := fs.Int("for", 0, "start as many edges as this many connections need, by the descriptors that a process may have; instead of -edges")
	fs.IntVar(&o.Rooms, "rooms", 1, "instances of room")
	fs.StringVar(&o.Durability, "durability", "fast", "fast, or durable")
	fs.BoolVar(&o.TLS, "tls", false, "edges speak TLS, with a certificate made for the run; chatload then does, too")
	env := fs.String("env", "", "further settings of all services: CONFAB_A=1,CONFAB_B=2")
	edgeEnv := fs.String("edge-env", "", "further settings of the edges")
	_ = fs.Parse(args) // it exits by itself
	o.Env, o.EdgeEnv = settings(*env), settings(*edgeEnv)
	limit, err := testbed.RaiseFiles()
	if err != nil {
		return err
	}
	if *connections > 0 {
		o.Edges = (*connections + limit - spareFiles - 1) / (limit - spareFiles)
		fmt.Fprintf(os.Stderr, "testbed: %d descriptors a process, %d edges\n", limit, o.Edges)
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
	if o.Bin = *bin; o.Bin == "" {
		o.Bin = filepath.Join(dir, "bin")
		if err := testbed.Build(ctx, *root, o.Bin); err != nil {
			return err
		}
	}
	if o.Bin, err = filepath.Abs(o.Bin); err != nil {
		return err
	}
	for i := range *repeat {
		if o.Dir = filepath.Join(dir, fmt.Sprint("run", i+1)); *warm {
			o.Dir = filepath.Join(dir, "warm")
		} else if err := os.RemoveAll(filepath.Join(o.Dir, testbed.Store)); err != nil { // rooms of an earlier run are full
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
func once(ctx context.Context, o testbed.Options, command []string) (err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	bed, err := testbed.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bed.Close()) }()
	file := filepath.Join(o.Dir, "suite.json")
	if err := bed.Suite.Write(file); err != nil {
		return err
	}
	if len(command) == 0 {
		fmt.Printf("the suite runs: export %s=%s\n", testbed.Variable, file)
		<-ctx.Done()
		return nil
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), testbed.Variable+"="+file)
	return cmd.Run()
}
