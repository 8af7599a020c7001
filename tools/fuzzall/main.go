// Command fuzzall runs every fuzz target of the workspace for a while, one after
// another (go test fuzzes one target of one package at a time). It stops at the
// first that fails; go test then has written the input into the package's testdata.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	each := flag.Duration("time", 30*time.Second, "time for each target")
	match := flag.String("match", "", "only packages whose path contains this")
	flag.Parse()
	if err := run(*each, *match); err != nil {
		fmt.Fprintln(os.Stderr, "fuzzall:", err)
		os.Exit(1)
	}
}

func run(each time.Duration, match string) error {
	pkgs, err := lines("go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", "work")
	if err != nil {
		return err
	}
	targets := 0
	for _, pkg := range pkgs {
		if !strings.Contains(pkg, match) {
			continue
		}
		names, err := lines("go", "test", "-list", "^Fuzz", pkg)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, "Fuzz") {
				continue // the line about the package
			}
			fmt.Printf("== %s %s\n", pkg, name)
			cmd := exec.Command("go", "test", pkg, "-run", "^$", "-fuzz", "^"+name+"$", "-fuzztime", each.String())
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%s %s: %w", pkg, name, err)
			}
			targets++
		}
	}
	fmt.Printf("%d fuzz targets, %v each\n", targets, each)
	return nil
}

func lines(name string, args ...string) ([]string, error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return strings.Fields(string(out)), nil
}
