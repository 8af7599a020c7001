package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/confab-chat/confab/tools/chatload/internal/plot"
	"github.com/confab-chat/confab/tools/chatload/internal/report"
)

// table prints what runs have stored with -json: medians over the runs of the same
// thing, also of different processes.
func table(files []string, out io.Writer) error {
	var results []report.Result
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		for d := json.NewDecoder(f); ; {
			var r report.Result
			if err = d.Decode(&r); err != nil {
				break
			}
			results = append(results, r)
		}
		if err = errors.Join(notEOF(err), f.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(results) == 0 {
		return errors.New("no results: name the files that -json has written")
	}
	return writeTables(out, results)
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// writeTables writes one table for all runs with the same setup.
func writeTables(w io.Writer, results []report.Result) error {
	var order []string
	groups := make(map[string][]report.Result)
	for _, r := range results {
		setup, err := json.Marshal(r.Setup)
		if err != nil {
			return err
		}
		key := fmt.Sprintf("%s %s %s %s", r.Label, r.Mode, r.Dialect, setup)
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], r)
	}
	for _, key := range order {
		if err := report.WriteTable(w, groups[key]); err != nil {
			return err
		}
	}
	return nil
}

// draw draws latency over the load that was really delivered.
func draw(title string, results []report.Result) []byte {
	c := plot.Chart{Title: title, XLabel: "deliveries a second", YLabel: "send to deliver, ms"}
	if title == "" && len(results) > 0 {
		c.Title = "Latency over load, " + results[0].Dialect
	}
	for _, q := range []string{"p50", "p90", "p99", "p99_9", "max"} {
		line := plot.Line{Name: q}
		for _, r := range results {
			x, ok1 := r.Figures.Get("deliveries_per_s")
			y, ok2 := r.Figures.Get("deliver_" + q + "_ms")
			if ok1 && ok2 {
				line.Points = append(line.Points, plot.Point{X: x, Y: y})
			}
		}
		c.Lines = append(c.Lines, line)
	}
	return plot.SVG(c)
}
