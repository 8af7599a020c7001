// Package report holds what runs measured, as ordered lists of figures, and writes them as
// tables with medians, or as JSON. It does no I/O but through the writers it is given.
package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Figure is one number. Its name is lower-case with underscores and the same in
// every run.
type Figure struct {
	Name  string
	Value float64
	Unit  string // shown in the table; may be empty
}

// Figures keep their order. In JSON they are one object, without units.
type Figures []Figure

// Result is one run.
type Result struct {
	Label   string  `json:"label"`   // what was measured, in the user's words
	Mode    string  `json:"mode"`    // of chatload
	Dialect string  `json:"dialect"` // of the server
	Setup   Figures `json:"setup"`   // what the command line asked for
	Figures Figures `json:"figures"` // what was measured
	Note    string  `json:"note,omitempty"`
}

// Add appends a figure. It leaves out what JSON cannot hold, such as a quotient by zero.
func (f *Figures) Add(name string, value float64, unit string) {
	if !math.IsNaN(value) && !math.IsInf(value, 0) {
		*f = append(*f, Figure{name, value, unit})
	}
}

// Get returns a figure's value.
func (f Figures) Get(name string) (value float64, ok bool) {
	for _, x := range f {
		if x.Name == name {
			return x.Value, true
		}
	}
	return 0, false
}

// MarshalJSON implements json.Marshaler.
func (f Figures) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, x := range f {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "%q:", x.Name)
		value, err := json.Marshal(rounded(x.Value))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.Name, err)
		}
		b = append(b, value...)
	}
	return append(b, '}'), nil
}

// rounded keeps five significant digits: the sixth is noise.
func rounded(v float64) float64 {
	if v == 0 || math.Abs(v) >= 1e5 {
		return math.Round(v)
	}
	scale := math.Pow(10, 4-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// WriteJSON writes results, one object a line.
func WriteJSON(w io.Writer, results []Result) error {
	e := json.NewEncoder(w)
	for _, r := range results {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// WriteTables writes one table for all results with the same setup, in the order in which
// the setups come.
func WriteTables(w io.Writer, results []Result) error {
	var setups []Figures
	for _, r := range results {
		if !slices.ContainsFunc(setups, func(s Figures) bool { return slices.Equal(s, r.Setup) }) {
			setups = append(setups, r.Setup)
		}
	}
	for _, setup := range setups {
		var runs []Result
		for _, r := range results {
			if slices.Equal(r.Setup, setup) {
				runs = append(runs, r)
			}
		}
		if err := writeTable(w, runs); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes the runs of one setup: medians, and the spread when there are several.
func writeTable(w io.Writer, runs []Result) error {
	first := runs[0]
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s  %s\n", cmp.Or(first.Label, first.Mode), first.Dialect)
	for _, f := range first.Setup {
		fmt.Fprintf(&b, "  %s %s", f.Name, formatNumber(f.Value))
	}
	b.WriteByte('\n')
	for _, m := range medians(runs) {
		line := fmt.Sprintf("  %-34s %12s %-6s", m.name, formatNumber(m.median), m.unit)
		if len(runs) > 1 {
			line += fmt.Sprintf(" %12s ... %s", formatNumber(m.least), formatNumber(m.most))
		}
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	if first.Note != "" {
		fmt.Fprintf(&b, "  %s\n", first.Note)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// median is one figure over several runs.
type median struct {
	name, unit          string
	median, least, most float64
}

// medians sums up runs of one setup. The order is that of the first run with a figure.
func medians(runs []Result) (all []median) {
	values := make(map[string][]float64)
	for _, r := range runs {
		for _, f := range r.Figures {
			if values[f.Name] == nil {
				all = append(all, median{name: f.Name, unit: f.Unit})
			}
			values[f.Name] = append(values[f.Name], f.Value)
		}
	}
	for i := range all {
		m, v := &all[i], values[all[i].name]
		slices.Sort(v)
		m.least, m.most = v[0], v[len(v)-1]
		m.median = (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	}
	return all
}

// formatNumber writes three or four significant digits, and groups large numbers.
func formatNumber(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000 || v == math.Trunc(v):
		return groupDigits(int64(math.Round(v)))
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func groupDigits(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
