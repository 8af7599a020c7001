package archtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/confab-chat/confab/tools/archtest"
)

// Comments and documents are in plain English. Run with -count=1, as TestWorkspace.
func TestProse(t *testing.T) {
	t.Parallel()
	broken, err := archtest.Prose("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Error(b)
	}
}

func TestProseFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, text, want string }{
		"doc comment":      {"x.go", "package x\n\n// F tells whether it is so.\nfunc F() {}\n", `x.go:3: "tells whether"`},
		"line comment":     {"x.go", "package x\n\nvar a = 1 // nobody reads it\n", `x.go:3: "nobody"`},
		"block comment":    {"x.go", "/*\nPackage x is\nfor ever.\n*/\npackage x\n", `x.go:3: "for ever"`},
		"over two lines":   {"x.go", "package x\n\n// F lets\n// go of it.\nfunc F() {}\n", `x.go:3: "lets\n go"`},
		"document":         {"x.md", "# X\n\nWhoever reads this is told.\n", `x.md:3: "told"`},
		"predicate":        {"x.md", "Unknown shards are nothing.\n", `x.md:1: "shards are nothing"`},
		"plain":            {"x.go", "// Package x reports whether there is nothing to do.\npackage x\n", ""},
		"identifier":       {"x.go", "package x\n\nfunc told() { println(\"nobody\") }\n", ""},
		"quoted":           {"x.md", "The value `nobody`.\n\n```\ntold\n```\n", ""},
		"test":             {"x_test.go", "package x\n\n// nobody\n", ""},
		"other file":       {"x.txt", "nobody\n", ""},
		"folder of others": {"node_modules/x.md", "nobody\n", ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, c.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			broken, err := archtest.Prose(dir)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(broken)
			if c.want == "" && len(broken) > 0 || !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
