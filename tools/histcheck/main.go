// Command histcheck checks recorded histories: JSON lines as tools/internal/histories writes them.
// It prints every anomaly and exits with 1 if there is one.
//
//	histcheck FILE ...
package main

import (
	"fmt"
	"os"

	"github.com/confab-chat/confab/tools/internal/histories"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: histcheck FILE ...")
		os.Exit(2)
	}
	valid := true
	for _, path := range os.Args[1:] {
		found, events, err := check(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "histcheck: %s: %v\n", path, err)
			os.Exit(2)
		}
		for _, a := range found {
			fmt.Println(a)
		}
		result := "valid"
		if len(found) > 0 {
			result, valid = fmt.Sprintf("%d anomalies", len(found)), false
		}
		fmt.Printf("%s: %d events, %s\n", path, events, result)
	}
	if !valid {
		os.Exit(1)
	}
}

func check(path string) (found []histories.Anomaly, events int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	all, err := histories.Read(f)
	return histories.Check(all), len(all), err
}
