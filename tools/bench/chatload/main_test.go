//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/tools/bench/internal/report"
	"github.com/confab-chat/confab/tools/bench/internal/usage"
)

func TestWrongCommandLines(t *testing.T) {
	t.Setenv(secretVariable, secret)
	t.Setenv(suiteVariable, "")
	for _, test := range []struct{ args, want string }{
		{"", "usage"},
		{"-rooms 3", "usage"},
		{"flood", "unknown mode"},
		{"fanout extra", `unexpected "extra"`},
		{"fanout -rooms 0 -window 0", "-rooms must be at least 1\n-window must be"},
		{"fanout -members 0", "-members"},
		{"fanout -size 5", "-size"},
		{"fanout -dialect irc", `unknown dialect "irc"`},
		{"fanout -addr nowhere", "nowhere"},
		{"fanout -pid x", "x"},
		{"fanout -addr wss://127.0.0.1:1,127.0.0.1:1", "or none does"},
		{"fanout -addr wss://127.0.0.1:1,wss://localhost:1", "under one name"},
		{"fanout -addr wss://127.0.0.1:1 -ca /nowhere.pem", "nowhere"},
		{"fanout -addr wss://127.0.0.1:1 -ca main.go", "no certificate in it"},
		{"fanout -suite /nowhere.json", "nowhere"},
		{"resume -dialect centrifugo -addr 127.0.0.1:1", "do not replay"},
		{"fanout -addr 127.0.0.1:1 -quiet", "connection refused"},
		{"idle -addr 127.0.0.1:1 -quiet", "connection refused"},
	} {
		err := run(t.Context(), strings.Fields(test.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.args, err, test.want)
		}
	}
}

// A figure that shows a loss makes the run fail, after its results were written.
func TestLossFails(t *testing.T) {
	r := report.Result{}
	if err := checkLosses([]report.Result{r}); err != nil {
		t.Error(err)
	}
	r.Figures.Add("missing", 1, "")
	if err := checkLosses([]report.Result{{}, r}); !errors.Is(err, errLost) {
		t.Errorf("%v", err)
	}
}

func TestResultsAreAppended(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.jsonl")
	f := flags{json: file}
	for range 2 {
		var table strings.Builder
		if err := f.writeResults(&table, []report.Result{{Label: "row A"}}); err != nil || !strings.Contains(table.String(), "row A") {
			t.Errorf("%v %s", err, table.String())
		}
	}
	b, err := os.ReadFile(file)
	if err != nil || strings.Count(string(b), "\n") != 2 {
		t.Errorf("%v %s", err, b)
	}
}

// testbed describes the suite that it started in this form.
func TestSuiteDescription(t *testing.T) {
	cert, _ := writeCertificate(t)
	file := filepath.Join(t.TempDir(), "suite.json")
	text := `{"secret": "s", "ca": "` + cert + `", "processes": [
		{"name": "nats", "pid": 1, "addr": "127.0.0.1:4222"}, {"name": "edge", "pid": 2, "addr": "127.0.0.1:1"}, {"name": "edge", "pid": 3, "addr": "127.0.0.1:2"}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := flags{suite: file}
	if err := f.resolveSuite(); err != nil {
		t.Fatal(err)
	}
	if len(f.Targets) != 2 || f.secret != "s" || f.TLS == nil || f.TLS.RootCAs == nil {
		t.Errorf("%+v", f)
	}
	equal := func(a, b usage.Group) bool { return a.Name == b.Name && slices.Equal(a.Pids, b.Pids) }
	if want := []usage.Group{{Name: "edge", Pids: []int{2, 3}}, {Name: "nats", Pids: []int{1}}}; !slices.EqualFunc(f.Groups, want, equal) {
		t.Errorf("groups %v, want %v", f.Groups, want)
	}
	if err := os.WriteFile(file, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&flags{suite: file}).resolveSuite(); err == nil {
		t.Error("a suite without an edge is accepted")
	}
}

// The secret of a development server is found from a folder below its own, and none is made.
func TestFindSecret(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	if secret, err := findSecret(below); err == nil {
		t.Errorf("found %q", secret)
	}
	want, err := devtoken.Secret(filepath.Join(dir, dataDir))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := findSecret(below); got != string(want) || err != nil {
		t.Errorf("%v", err)
	}
}
