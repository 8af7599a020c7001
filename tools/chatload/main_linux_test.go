package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/tools/chatload/internal/dialect/dialecttest"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
	"github.com/confab-chat/confab/tools/internal/testbed"
)

const secret = "a secret of at least thirty-two bytes"

// chatload runs the command as from a shell.
func chatload(t *testing.T, args ...string) (string, error) {
	t.Helper()
	t.Setenv(testbed.Variable, "")
	t.Setenv(secretVariable, secret)
	var out bytes.Buffer
	err := run(t.Context(), args, &out)
	return out.String(), err
}

// A sweep against a server: the table, the stored results, their table, and a picture.
func TestSweepFromTheCommandLine(t *testing.T) {
	server := dialecttest.New(t, "sio")
	dir := t.TempDir()
	stored, picture := filepath.Join(dir, "results.jsonl"), filepath.Join(dir, "latency.svg")
	out, err := chatload(t, "sweep", "-addr", server.Addr().String(), "-dialect", "sio", "-rates", "100, 200", "-warm", "1ms", "-duration", "50ms",
		"-label", "two rates", "-pid", "test="+strconv.Itoa(os.Getpid()), "-json", stored, "-svg", picture, "-quiet")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(out, "two rates  sio") != 2 || !strings.Contains(out, "deliver_p99_ms") || !strings.Contains(out, "cpu_test") {
		t.Errorf("%s", out)
	}
	again, err := chatload(t, "table", stored)
	if err != nil || strings.Count(again, "two rates  sio") != 2 {
		t.Errorf("%v %s", err, again)
	}
	svg, err := os.ReadFile(picture)
	if err != nil || !bytes.Contains(svg, []byte(">two rates<")) || bytes.Count(svg, []byte("<circle")) != 10 {
		t.Errorf("%v %s", err, svg)
	}
}

func TestJSONOnly(t *testing.T) {
	server := dialecttest.New(t, "centrifugo")
	out, err := chatload(t, "echo", "-addr", server.Addr().String(), "-dialect", "centrifugo", "-connections", "3", "-warm", "1ms", "-duration", "20ms", "-json", "-", "-quiet")
	var r report.Result
	if err != nil || json.Unmarshal([]byte(out), &r) != nil || r.Mode != "echo" {
		t.Errorf("%v %s", err, out)
	}
}

// A server that speaks TLS is trusted by its certificate, or blindly, or not at all.
func TestTLS(t *testing.T) {
	server, certificate := dialecttest.NewTLS(t, "native")
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := server.Addr().String()
	for name, c := range map[string]struct{ args, want string }{
		"its certificate":       {"-addr wss://" + addr + " -ca " + file, ""},
		"any certificate":       {"-addr wss://" + addr + " -insecure", ""},
		"the system's":          {"-addr wss://" + addr, "certificate"},
		"no such file":          {"-addr wss://" + addr + " -ca /nowhere.pem", "nowhere"},
		"no certificate":        {"-addr wss://" + addr + " -ca main.go", "no certificate in it"},
		"one with, one without": {"-addr wss://" + addr + "," + addr, "or none"},
		"two names":             {"-addr wss://" + addr + ",wss://localhost:1", "under one name"},
		"without TLS":           {"-addr " + addr, "400"},
	} {
		out, err := chatload(t, strings.Fields("echo -connections 3 -warm 1ms -duration 20ms -quiet "+c.args)...)
		switch {
		case c.want == "" && (err != nil || !strings.Contains(out, "tls 1")):
			t.Errorf("%s: %v %s", name, err, out)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A lost message is an error of its own.
func TestLost(t *testing.T) {
	server := dialecttest.New(t, "native")
	server.DropNext(1)
	_, err := chatload(t, "fanout", "-addr", server.Addr().String(), "-rate", "50", "-warm", "1ms", "-duration", "50ms", "-patience", "500ms", "-quiet")
	if !errors.Is(err, errLost) {
		t.Errorf("%v", err)
	}
}

func TestWrongCommandLines(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "what?"},
		{"-rooms 3", "what?"},
		{"flood", "no mode"},
		{"fanout extra", `unexpected "extra"`},
		{"fanout -rooms 0 -window 0", "-rooms must be at least 1\n-window must be"},
		{"fanout -members 0", "-members"},
		{"fanout -size 5", "-size"},
		{"fanout -dialect irc", `no dialect "irc"`},
		{"fanout -addr nowhere", "nowhere"},
		{"fanout -pid x", "x"},
		{"churn", "needs a -rate"},
		{"sweep", "needs -rates"},
		{"sweep -rates 1,x", `"x"`},
		{"resume -dialect socketio -addr 127.0.0.1:1", "no since"},
		{"table", "no results"},
		{"table /nowhere.jsonl", "nowhere"},
		{"scale -connections 3000000 -addr 127.0.0.1:1", "need more than 1 edges"},
	} {
		_, err := chatload(t, strings.Fields(test.args)...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.args, err, test.want)
		}
	}
}

func TestSuite(t *testing.T) {
	server := dialecttest.New(t, "native")
	file := filepath.Join(t.TempDir(), "suite.json")
	s := testbed.Suite{Secret: secret, Processes: []testbed.Process{{Name: "edge", Pid: os.Getpid(), Addr: server.Addr().String()}}}
	if err := s.Write(file); err != nil {
		t.Fatal(err)
	}
	out, err := chatload(t, "idle", "-suite", file, "-connections", "5", "-settle", "1ms", "-quiet")
	if err != nil || !strings.Contains(out, "rss_per_connection_edge") {
		t.Errorf("%v %s", err, out)
	}
	secure, certificate := dialecttest.NewTLS(t, "native")
	s.CA = filepath.Join(t.TempDir(), "ca.pem")
	s.Processes[0].Addr = secure.Addr().String()
	if err := errors.Join(s.Write(file),
		os.WriteFile(s.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := chatload(t, "idle", "-suite", file, "-connections", "5", "-settle", "1ms", "-quiet"); err != nil || !strings.Contains(out, "tls 1") {
		t.Errorf("with TLS: %v %s", err, out)
	}
	if err := (testbed.Suite{}).Write(file); err != nil {
		t.Fatal(err)
	}
	if _, err := chatload(t, "idle", "-suite", file); err == nil {
		t.Error("a suite without an edge")
	}
}

// The secret of a development server is found, and none is made.
func TestDevelopmentSecret(t *testing.T) {
	dir := t.TempDir()
	if secret, err := developmentSecret(dir); secret != "" || err != nil {
		t.Errorf("%q %v", secret, err)
	}
	if files, err := os.ReadDir(dir); len(files) > 0 || err != nil {
		t.Errorf("%v %v", files, err)
	}
	want, err := devtoken.Secret(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := developmentSecret(dir); got != string(want) || err != nil {
		t.Errorf("%v", err)
	}
}
