// Command typegen writes the TypeScript types of the client contract, the npm
// package in proto/typescript, from the Go types of module proto. A test fails if the file
// there is stale. With CONFAB_TEST_TYPESCRIPT=1, which .ci/run sets, other tests compile the
// golden frames, an example client and invalid payloads against it; they need Node.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run . ../..

// file is what is written, in the workspace's folder.
const file = "proto/typescript/index.d.ts"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "typegen: give the workspace's folder")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "typegen:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	text, err := generate(root)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, file), text, 0o644)
}
