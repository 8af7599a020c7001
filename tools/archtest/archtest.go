// Package archtest holds the rules of the workspace's architecture
// (ARCHITECTURE.md, "Who may import whom") as functions over the packages that
// `go list` reports, and a rule for the English of comments and documents ([Prose]). Each
// rule returns what breaks it; a test runs them over this workspace, another over planted
// violations.
package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// Module is the import path that all of the workspace's modules share.
const Module = "github.com/confab-chat/confab/"

// Package is what the rules look at. Paths are import paths.
type Package struct {
	ImportPath string
	Name       string
	Dir        string
	Doc        string
	Standard   bool
	Imports    []string // of the package itself, tests not included
	Deps       []string // all of them, the standard library's too
	GoFiles    []string

	TestGoFiles, XTestGoFiles []string
}

// List returns the packages of the patterns, with their dependencies.
func List(dir string, patterns ...string) ([]Package, error) {
	args := append([]string{"list", "-json=ImportPath,Name,Dir,Doc,Standard,Imports,Deps,GoFiles,TestGoFiles,XTestGoFiles"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return nil, fmt.Errorf("go list: %s", exit.Stderr)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	var pkgs []Package
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p Package
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}

// rel is the import path within the workspace, "" for a package of others.
func (p Package) rel() string {
	rest, ok := strings.CutPrefix(p.ImportPath, Module)
	if !ok {
		return ""
	}
	return rest
}

// service is the name of the service that an import path belongs to, or "".
func service(importPath string) string {
	rest, ok := strings.CutPrefix(importPath, Module+"services/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// Rule is one rule of the architecture.
type Rule struct {
	Name  string
	Why   string
	Check func(Package) []string
}

// Rules are all rules that look at one package at a time.
func Rules() []Rule {
	return []Rule{
		{"services do not import services", "they are deployed alone and meet only on NATS", noServiceImports},
		{"proto imports the standard library only", "clients of the wire format should need nothing else", protoIsPlain},
		{"shared knows no service", "it is below them", sharedKnowsNoService},
		{"below a service's root everything is internal", "a service's only contract is proto", servicesAreInternal},
		{"a service's binary links no nats-server and no testing", "the broker is a separate process, tests are not shipped", binariesAreLean},
		{"the pure core has no I/O", "it is tested by tables and properties, with time as a parameter", coreIsPure},
		{"every package says what it is", "a stranger starts at the package comment", hasDoc},
		{"no grab-bag packages", "a package is named for what it provides", noGrabBags},
	}
}

func noServiceImports(p Package) (broken []string) {
	own := service(p.ImportPath)
	if own == "" {
		return nil
	}
	for _, i := range p.Imports {
		if s := service(i); s != "" && s != own {
			broken = append(broken, i)
		}
	}
	return broken
}

func protoIsPlain(p Package) (broken []string) {
	if !strings.HasPrefix(p.rel(), "proto/") {
		return nil
	}
	for _, i := range p.Imports {
		if first, _, _ := strings.Cut(i, "/"); strings.Contains(first, ".") && !strings.HasPrefix(i, Module+"proto/") {
			broken = append(broken, i)
		}
	}
	return broken
}

func sharedKnowsNoService(p Package) (broken []string) {
	if !strings.HasPrefix(p.rel(), "shared/") {
		return nil
	}
	for _, i := range p.Imports {
		if service(i) != "" || strings.HasPrefix(i, Module+"tools/") {
			broken = append(broken, i)
		}
	}
	return broken
}

func servicesAreInternal(p Package) []string {
	name := service(p.ImportPath)
	if name == "" {
		return nil
	}
	below := strings.TrimPrefix(p.rel(), "services/"+name)
	if below == "" || below == "/cmd/"+name || strings.HasPrefix(below, "/internal/") {
		return nil
	}
	return []string{p.ImportPath}
}

func binariesAreLean(p Package) (broken []string) {
	if p.Name != "main" || service(p.ImportPath) == "" {
		return nil
	}
	for _, d := range p.Deps {
		if d == "testing" || strings.HasPrefix(d, "github.com/nats-io/nats-server/") {
			broken = append(broken, d)
		}
	}
	return broken
}

// Pure lists the packages of the pure core.
func Pure() []string {
	return []string{
		"proto/code", "proto/engineio", "proto/event", "proto/socketio", "proto/strictjson", "proto/subject", "proto/wire",
		"services/edge/internal/codec/native", "services/edge/internal/codec/sio",
		"services/edge/internal/rooms/inline", "services/edge/internal/rooms/stream", "services/edge/internal/transport/ws",
		"services/monitor/internal/aggregate", "services/monitor/internal/api", "services/monitor/internal/fleet",
		"services/ratelimit/internal/policy",
		"services/room/internal/sequencer/cache", "services/room/internal/sequencer/dedup",
		"services/room/internal/shard/agreement", "services/room/internal/shard/liveness",
		"services/room/internal/shard/rooms/membership",
		"services/room/internal/shard/rooms/readmark", "services/room/internal/shard/rooms/typing",
		"services/room/internal/shard/users/presence",
		"shared/limit", "shared/mailbox", "shared/partition/internal/assign", "shared/partition/internal/lease", "shared/timerheap",
	}
}

func coreIsPure(p Package) (broken []string) {
	if !slices.Contains(Pure(), p.rel()) {
		return nil
	}
	for _, i := range p.Imports {
		for _, bad := range []string{"net", "os", "io/fs", "github.com/nats-io/nats.go", "github.com/gobwas/", "go.opentelemetry.io/"} {
			if i == bad || strings.HasPrefix(i, bad+"/") || strings.HasSuffix(bad, "/") && strings.HasPrefix(i, bad) {
				broken = append(broken, i)
			}
		}
	}
	return broken
}

func hasDoc(p Package) []string {
	if p.rel() == "" || p.Doc != "" || len(p.GoFiles) == 0 {
		return nil
	}
	return []string{"no package comment"}
}

func noGrabBags(p Package) []string {
	if p.rel() == "" {
		return nil
	}
	switch name := path.Base(p.ImportPath); name {
	case "util", "utils", "common", "helper", "helpers", "manager", "misc", "base", "lib":
		return []string{name}
	}
	return nil
}
