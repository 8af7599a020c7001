package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/tools/internal/cluster"
)

// script writes a shell script in place of a program.
func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// When a process ends or does not become ready, the processes started before it are stopped.
func TestStartFails(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs a shell")
	}
	bin := t.TempDir()
	try := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		running, _, err := start(ctx, options{bin: bin, dir: t.TempDir(), durability: "fast"})
		if err == nil {
			t.Error(running.Close())
		}
		return err
	}
	if err := try(time.Minute); err == nil || !strings.Contains(err.Error(), "nats") {
		t.Errorf("without binaries: %v", err)
	}
	for _, name := range []string{"nats-server", "edge", "room", "ratelimit", "monitor"} {
		script(t, bin, name, "exit 1")
	}
	if err := try(time.Minute); err == nil || !strings.Contains(err.Error(), "nats1 has ended") {
		t.Errorf("a server that ends: %v", err)
	}
	for _, name := range []string{"nats-server", "edge", "room", "ratelimit", "monitor"} {
		script(t, bin, name, "exec sleep 600")
	}
	if err := try(200 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "nats1 is not ready") {
		t.Errorf("a server that does nothing: %v", err)
	}
}

// The suite as it ships, started and stopped.
func TestStart(t *testing.T) {
	if os.Getenv("CONFAB_TEST_LONG") == "" {
		t.Skip("builds everything: CONFAB_TEST_LONG=1")
	}
	bin := t.TempDir()
	if err := cluster.BuildShipped(t.Context(), filepath.Join("..", ".."), bin); err != nil {
		t.Fatal(err)
	}
	running, described, err := start(t.Context(), options{bin: bin, dir: t.TempDir(), edges: 2, durability: "durable", tls: true})
	if err != nil {
		t.Fatal(err)
	}
	dialEdges(t, described)
	if n := len(edges(described)); n != 2 {
		t.Errorf("%d edges", n)
	}
	if err := running.Close(); err != nil {
		t.Error(err)
	}
	if err := running.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// edges returns the edges of a suite.
func edges(s suite) (found []member) {
	for _, m := range s.Processes {
		if m.Name == "edge" {
			found = append(found, m)
		}
	}
	return found
}

// dialEdges checks that every edge speaks TLS with the certificate that the suite names.
func dialEdges(t *testing.T, s suite) {
	t.Helper()
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	for _, p := range edges(s) {
		conn, err := tls.Dial("tcp", p.Addr, &tls.Config{RootCAs: pool})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}
