package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/confab-chat/confab/proto/event"
)

const root = "../.."

// Run with -count=1 after a change by hand: go test does not see the file, which is in
// another module. CI generates anew as well.
func TestCommittedFileIsFresh(t *testing.T) {
	t.Parallel()
	want, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: run go generate work", file)
	}
}

// Long comments are broken, and none ends before its end.
func TestDoc(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":          "",
		"one":       "  /** one */\n",
		"a */ then": "  /** a * / then */\n",
		"The quick brown fox jumps over the lazy dog, and then it jumps over the lazy dog once more and again.": "" +
			"  /**\n   * The quick brown fox jumps over the lazy dog, and then it jumps over the lazy dog once more and\n   * again.\n   */\n",
	} {
		var w writer
		if w.doc("  ", in); w.buf.String() != want {
			t.Errorf("%q:\n%s", in, w.buf.String())
		}
	}
}

// The package is what npm would publish.
func TestPackage(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, filepath.Dir(file), "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Name, Types string
		Files       []string
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	if p.Name != "@confab/protocol" || p.Types != "./"+filepath.Base(file) || len(p.Files) != 1 || p.Files[0] != filepath.Base(file) {
		t.Errorf("%+v", p)
	}
}

// frames are the golden frames of every event, by event and key.
func frames(t *testing.T) map[string]map[string]json.RawMessage {
	t.Helper()
	var names []string
	for _, def := range event.Catalog() {
		names = append(names, def.Name)
	}
	for _, def := range event.ServerEvents() {
		if _, err := os.Stat(filepath.Join(root, "proto/testdata", def.Name+".json")); err == nil {
			names = append(names, def.Name) // else it is in the file of the event that causes it
		}
	}
	all := map[string]map[string]json.RawMessage{}
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(root, "proto/testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var frames map[string]json.RawMessage
		if err := json.Unmarshal(raw, &frames); err != nil {
			t.Fatal(err)
		}
		all[name] = frames
	}
	return all
}
