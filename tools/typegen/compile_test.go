package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// compilers are the versions of TypeScript that the package is for.
var compilers = []string{"typescript", "typescript-5"}

// project installs what testdata's lock file names, and the package as npm packs it.
func project(t *testing.T) string {
	t.Helper()
	if os.Getenv("CONFAB_TEST_TYPESCRIPT") == "" {
		t.Skip("needs Node and npm: set CONFAB_TEST_TYPESCRIPT=1 (bash .ci/run does)")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	pkg, err := filepath.Abs(filepath.Join(root, filepath.Dir(file)))
	if err != nil {
		t.Fatal(err)
	}
	npm := func(args ...string) string {
		cmd := exec.Command("npm", args...)
		cmd.Dir = dir
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("npm %s: %v\n%s", args[0], err, stderr.Bytes())
		}
		return strings.TrimSpace(string(out))
	}
	npm("ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm("install", "--no-save", "--no-audit", "--no-fund", "./"+npm("pack", "--silent", pkg))
	return dir
}

// compile runs tsc --strict over a project, and returns what it has to say.
func compile(t *testing.T, dir, compiler string) (problems string, ok bool) {
	t.Helper()
	cmd := exec.Command("node", filepath.Join("node_modules", compiler, "bin", "tsc"), "--strict", "--project", ".", "--pretty", "false")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return string(out), err == nil
}

// TestCompile: the examples and every golden frame fit the types; wrong payloads, and
// golden frames with one member changed, do not.
func TestCompile(t *testing.T) {
	t.Parallel()
	dir := project(t)
	write(t, dir, "golden.ts", golden(t))
	for i, example := range examples(t) {
		write(t, dir, fmt.Sprintf("readme%d.ts", i), example)
	}
	for _, compiler := range compilers {
		if problems, ok := compile(t, dir, compiler); !ok {
			t.Errorf("%s:\n%s", compiler, problems)
		}
	}
	// The marks of what is wrong are worth something: without one there is an error.
	write(t, dir, "planted.ts", `import type { RequestFrame } from "@confab/protocol";
export const f: RequestFrame = { id: 1, event: "joinRoom", data: { room: "general" } };
`)
	for _, compiler := range compilers {
		if problems, ok := compile(t, dir, compiler); ok || !strings.HasPrefix(problems, "planted.ts(2,") {
			t.Errorf("%s does not see a wrong payload: %s", compiler, problems)
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// examples are those of the package's README.
func examples(t *testing.T) (all []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, filepath.Dir(file), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(raw), "```ts\n")[1:] {
		code, _, _ := strings.Cut(block, "```")
		all = append(all, code+"declare const token: string;\n")
	}
	if len(all) == 0 {
		t.Fatal("the README has no examples")
	}
	return all
}

// golden is TypeScript that declares every golden frame with its type, and, marked
// as wrong, each of them with a member that has another type and with one too many.
func golden(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`import type { Ack, EventFrame, ReplyFrame, RequestFrame, ServerFrame } from "@confab/protocol";` + "\n")
	n := 0
	declare := func(typ, value string) {
		n++
		fmt.Fprintf(&b, "export const c%d: %s = %s;\n", n, typ, value)
	}
	all := frames(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, key := range slices.Sorted(maps.Keys(all[name])) {
			types := typesOf(name, key)
			for _, typ := range types {
				declare(typ, string(all[name][key]))
			}
			if len(types) > 0 {
				for _, wrong := range spoilt(t, all[name][key]) {
					b.WriteString("// @ts-expect-error\n")
					declare(types[0], wrong)
				}
			}
		}
	}
	return b.String()
}

// typesOf are the types of a golden frame; what is refused may have none.
func typesOf(name, key string) []string {
	switch kind, _, _ := strings.Cut(key, " "); kind {
	case "request":
		return []string{fmt.Sprintf("RequestFrame<%q>", name), "RequestFrame"}
	case "reply", "refusal":
		return []string{fmt.Sprintf("ReplyFrame<%q>", name), "ServerFrame"}
	case "ack":
		return []string{fmt.Sprintf("Ack<%q>", name)}
	case "event":
		return []string{fmt.Sprintf("EventFrame<%q>", name), "ServerFrame"}
	}
	return nil
}

// spoilt are variants of a frame, each wrong in one member of its payload.
func spoilt(t *testing.T, frame json.RawMessage) (variants []string) {
	t.Helper()
	whole := object(t, frame)
	body := whole
	if _, native := whole["data"]; native {
		body = object(t, whole["data"])
	} else if _, ack := whole["success"]; !ack {
		return nil // no payload
	}
	for _, member := range append(slices.Sorted(maps.Keys(body)), "unheardOf") {
		changed := maps.Clone(body)
		changed[member] = json.RawMessage(`{"wrong":1}`)
		text, err := json.Marshal(changed)
		if err == nil && len(whole["data"]) > 0 {
			outer := maps.Clone(whole)
			outer["data"] = text
			text, err = json.Marshal(outer)
		}
		if err != nil {
			t.Fatal(err)
		}
		variants = append(variants, string(text))
	}
	return variants
}

func object(t *testing.T, raw json.RawMessage) (members map[string]json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return members
}
