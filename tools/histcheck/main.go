// Command histcheck judges recorded histories: JSON lines as tools/internal/history
// writes them. It prints every anomaly and exits 1 when there is one.
//
//	histcheck FILE ...
package main

import (
	"fmt"
	"os"

	"github.com/confab-chat/confab/tools/internal/history"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "histcheck: give files of JSON lines")
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
		verdict := "valid"
		if len(found) > 0 {
			verdict, valid = fmt.Sprintf("%d anomalies", len(found)), false
		}
		fmt.Printf("%s: %d events, %s\n", path, events, verdict)
	}
	if !valid {
		os.Exit(1)
	}
}

func check(path string) (found []history.Anomaly, events int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	all, err := history.Read(f)
	return history.Check(all), len(all), err
}
