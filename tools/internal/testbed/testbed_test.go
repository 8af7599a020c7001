package testbed_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/internal/testbed"
)

func TestSuiteFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "suite.json")
	want := testbed.Suite{Secret: "s", Processes: []testbed.Process{
		{Name: "nats", Pid: 1, Addr: "127.0.0.1:4222"}, {Name: "edge", Pid: 2, Addr: "127.0.0.1:1", Admin: "127.0.0.1:2"}, {Name: "edge", Pid: 3},
	}}
	if err := want.Write(file); err != nil {
		t.Fatal(err)
	}
	got, err := testbed.Read(file)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("who may read the secret: %v %v", info.Mode(), err)
	}
	if edges := got.Named("edge"); len(edges) != 2 || edges[1].Pid != 3 {
		t.Errorf("%+v", edges)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := testbed.Read(file); err == nil {
		t.Error("half a file is taken")
	}
}

func TestRaiseFiles(t *testing.T) {
	t.Parallel()
	if n, err := testbed.RaiseFiles(); n < 256 || err != nil {
		t.Errorf("%d %v", n, err)
	}
}

// script is a binary of a bed that does what its text says.
func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// When a process ends, or never gets ready, what was started before is ended.
func TestStartFails(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs a shell")
	}
	bin := t.TempDir()
	start := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		bed, err := testbed.Start(ctx, testbed.Options{Bin: bin, Dir: t.TempDir(), Durability: "fast"})
		if err == nil {
			t.Error(bed.Close())
		}
		return err
	}
	if err := start(time.Minute); err == nil || !strings.Contains(err.Error(), "nats") {
		t.Errorf("without binaries: %v", err)
	}
	for _, name := range []string{"nats-server", "edge", "room", "ratelimit", "monitor"} {
		script(t, bin, name, "exit 1")
	}
	if err := start(time.Minute); err == nil || !strings.Contains(err.Error(), "nats has ended") {
		t.Errorf("a server that ends: %v", err)
	}
	for _, name := range []string{"nats-server", "edge", "room", "ratelimit", "monitor"} {
		script(t, bin, name, "exec sleep 600")
	}
	if err := start(200 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "nats is not ready") {
		t.Errorf("a server that does nothing: %v", err)
	}
}

// The suite as it ships, started and ended.
func TestStart(t *testing.T) {
	if os.Getenv("CONFAB_TEST_LONG") == "" {
		t.Skip("builds everything: CONFAB_TEST_LONG=1")
	}
	bin := t.TempDir()
	if err := testbed.Build(t.Context(), filepath.Join("..", "..", ".."), bin); err != nil {
		t.Fatal(err)
	}
	bed, err := testbed.Start(t.Context(), testbed.Options{Bin: bin, Dir: t.TempDir(), Edges: 2, Durability: "durable", TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	trust(t, bed.Suite)
	if n := len(bed.Suite.Named("edge")); n != 2 {
		t.Errorf("%d edges", n)
	}
	if err := bed.Close(); err != nil {
		t.Error(err)
	}
	if err := bed.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// trust checks that every edge speaks TLS, and that the suite says whom to trust.
func trust(t *testing.T, s testbed.Suite) {
	t.Helper()
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	for _, p := range s.Named("edge") {
		conn, err := tls.Dial("tcp", p.Addr, &tls.Config{RootCAs: pool})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}
