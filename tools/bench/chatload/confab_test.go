//go:build linux

package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/confab-chat/confab/shared/natstest"
)

const (
	secret = "a secret of at least thirty-two bytes"
	// startTimeout bounds the start of the all-in-one on a busy machine.
	startTimeout = time.Minute
)

// Every mode against the all-in-one over each of its protocols, plain and over TLS: the server
// refuses nothing and loses nothing.
func TestAgainstConfab(t *testing.T) {
	binary := buildConfab(t)
	t.Run("plain", func(t *testing.T) {
		s := startConfab(t, binary)
		runAllModes(t, s, "native", s.addr, "")
		runAllModes(t, s, "sio", s.addr, "")
	})
	t.Run("TLS", func(t *testing.T) {
		cert, key := writeCertificate(t)
		s := startConfab(t, binary, "CONFAB_EDGE_TLS_CERT_FILE="+cert, "CONFAB_EDGE_TLS_KEY_FILE="+key)
		runAllModes(t, s, "native", secureScheme+s.addr, cert)
	})
}

func runAllModes(t *testing.T, s confab, dialect, addr, ca string) {
	t.Helper()
	for _, args := range []string{
		"idle -connections 20 -members 5 -settle 10ms",
		"idle -connections 5 -members 0 -settle 10ms",
		"fanout -rooms 3 -members 5",
		"fanout -rooms 2 -members 5 -publishers 3 -rate 200 -runs 2",
		"slow -members 5 -stalled 2 -rate 100",
		"resume -connections 3 -missed 50",
	} {
		args += " -quiet -json - -warm 50ms -duration 200ms -dialect " + dialect + " -addr " + addr + " -ca=" + ca + " -pid all=" + strconv.Itoa(s.pid)
		var out strings.Builder
		if err := run(t.Context(), strings.Fields(args), &out); err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		for d := json.NewDecoder(strings.NewReader(out.String())); d.More(); {
			var r struct {
				Figures map[string]float64
				Note    string
			}
			if err := d.Decode(&r); err != nil {
				t.Fatalf("%s: %v", args, err)
			}
			for _, name := range []string{"refused", "shed", "disconnected"} {
				if v := r.Figures[name]; v != 0 {
					t.Errorf("%s: %s %v %s", args, name, v, r.Note)
				}
			}
			if _, ok := r.Figures["cpu_all"]; !ok {
				t.Errorf("%s: no processor time in %v", args, r.Figures)
			}
		}
	}
}

// confab is a running all-in-one without limits.
type confab struct {
	addr string // of the edge
	pid  int
}

// buildConfab builds the all-in-one from the workspace around this module.
func buildConfab(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "confab")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./tools/confab")
	cmd.Dir = filepath.Join("..", "..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the all-in-one: %v\n%s", err, out)
	}
	return binary
}

func startConfab(t *testing.T, binary string, env ...string) confab {
	t.Helper()
	t.Setenv(secretVariable, secret)
	t.Setenv(suiteVariable, "")
	edge, admin := natstest.FreeAddr(t), natstest.FreeAddr(t)
	cmd := exec.Command(binary)
	cmd.Dir = t.TempDir()
	cmd.Stderr = os.Stderr
	cmd.Env = append(env, secretVariable+"="+secret, "CONFAB_EDGE_ADDR="+edge, "CONFAB_ADMIN_ADDR="+admin, "CONFAB_MONITOR_ADDR="+natstest.FreeAddr(t),
		"CONFAB_DURABILITY=fast", "CONFAB_LIMIT_MESSAGES=0", "CONFAB_LIMIT_JOINS=0", "CONFAB_PRESENCE_SCOPE=rooms", "CONFAB_LOG_LEVEL=error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			t.Errorf("the all-in-one: %v", err)
		}
	})
	awaitReady(t, "http://"+admin+"/readyz")
	return confab{edge, cmd.Process.Pid}
}

func awaitReady(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the all-in-one is not ready: %v", err)
		case <-tick.C:
		}
	}
}

// writeCertificate writes httptest's certificate, which is for 127.0.0.1, and its key.
func writeCertificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err := errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile
}
