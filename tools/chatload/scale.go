package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"github.com/confab-chat/confab/tools/chatload/internal/report"
	"github.com/confab-chat/confab/tools/chatload/internal/scenario"
	"github.com/confab-chat/confab/tools/internal/testbed"
)

// spareFiles is what a process needs of descriptors beside its connections.
const spareFiles = 200

// scale runs many connections: as the process that measures, or ("hold") as one of
// those that it starts to hold them.
func scale(ctx context.Context, mode string, args []string, out io.Writer) error {
	f, err := parse(mode, args)
	if err != nil {
		return err
	}
	limit, err := testbed.RaiseFiles()
	if err != nil {
		return err
	}
	if mode == "hold" {
		return hold(ctx, f, out)
	}
	if err := f.resolve(ctx); err != nil {
		return err
	}
	if most := len(f.Targets) * (limit - spareFiles); f.Connections > most {
		return fmt.Errorf("%d connections need more than %d edges: a process may have %d descriptors here (testbed -for %d starts enough)",
			f.Connections, len(f.Targets), limit, f.Connections)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Setenv(secretVariable, f.secret); err != nil { // not on the holders' command lines, which others can see
		return err
	}
	result, err := scenario.Scale(ctx, f.Options, func(i, connections int) []string {
		return []string{self, "hold", "-quiet", "-addr", f.url(i), "-ca", f.ca, "-insecure=" + strconv.FormatBool(f.insecure), "-dialect", f.DialectName, "-namespace", f.namespace,
			"-source", strconv.Itoa(f.FirstSource + 1 + i*sourcesEach(limit)), "-connections", strconv.Itoa(connections), "-members", strconv.Itoa(f.Members),
			"-at-once", strconv.Itoa(max(1, f.AtOnce/len(f.Targets))), "-patience", f.Patience.String(), "-size", strconv.Itoa(f.Size)}
	})
	return errors.Join(err, f.publish(out, []report.Result{result}))
}

// url is the address of server i as a holder's -addr.
func (f *flags) url(i int) string {
	if f.TLS == nil {
		return f.Targets[i].String()
	}
	host := cmp.Or(f.TLS.ServerName, f.Targets[i].Addr().String())
	return wss + net.JoinHostPort(host, strconv.Itoa(int(f.Targets[i].Port())))
}

// sourcesEach is how many source addresses a holder may use.
func sourcesEach(limit int) int { return 1 + limit/1_000 }

func hold(ctx context.Context, f *flags, out io.Writer) error {
	f.suite = ""
	f.Groups = nil
	if err := f.resolve(ctx); err != nil {
		return err
	}
	return scenario.Hold(ctx, f.Options, os.Stdin, out)
}
