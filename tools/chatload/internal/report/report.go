// Package report is what a run has found out: an ordered list of figures, which can
// be read by people and by programs, and medians over several runs. Pure.
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
	Unit  string // of the table; may be empty
}

// Figures keep their order, and are one object in JSON.
type Figures []Figure

// Result is one run.
type Result struct {
	Label   string  `json:"label"`   // what was measured, in the user's words
	Mode    string  `json:"mode"`    // of chatload
	Dialect string  `json:"dialect"` // of the server
	Setup   Figures `json:"setup"`   // what was asked for
	Figures Figures `json:"figures"` // what was found
	Note    string  `json:"note,omitempty"`
}

// Add appends a figure. What cannot be written in JSON, as a quotient by zero, is left out.
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
		name, err := json.Marshal(x.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(rounded(x.Value))
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON implements json.Unmarshaler. Units are not stored.
func (f *Figures) UnmarshalJSON(b []byte) error {
	*f = nil
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil { // the brace
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		x := Figure{}
		x.Name, _ = name.(string) // members' names are strings
		if err := d.Decode(&x.Value); err != nil {
			return fmt.Errorf("%s: %w", x.Name, err)
		}
		*f = append(*f, x)
	}
	return nil
}

// rounded keeps five significant digits: the sixth is noise.
func rounded(v float64) float64 {
	if v == 0 || math.Abs(v) >= 1e5 {
		return math.Round(v)
	}
	scale := math.Pow(10, 4-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// Median is one figure over several runs.
type Median struct {
	Name, Unit       string
	Median, Min, Max float64
	Runs             int
}

// Medians sums up runs of the same thing, in the order of the first that has a figure.
func Medians(runs []Result) (medians []Median) {
	values := make(map[string][]float64)
	for _, r := range runs {
		for _, f := range r.Figures {
			if values[f.Name] == nil {
				medians = append(medians, Median{Name: f.Name, Unit: f.Unit})
			}
			values[f.Name] = append(values[f.Name], f.Value)
		}
	}
	for i := range medians {
		m, v := &medians[i], values[medians[i].Name]
		slices.Sort(v)
		m.Runs, m.Min, m.Max = len(v), v[0], v[len(v)-1]
		m.Median = (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	}
	return medians
}

// WriteTable writes the runs of one thing for people: the median, and the spread when
// there are several.
func WriteTable(w io.Writer, runs []Result) error {
	if len(runs) == 0 {
		return nil
	}
	first := runs[0]
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s  %s\n", cmp.Or(first.Label, first.Mode), first.Dialect)
	for _, f := range first.Setup {
		fmt.Fprintf(&b, "  %s %s", f.Name, Number(f.Value))
	}
	b.WriteByte('\n')
	for _, m := range Medians(runs) {
		line := fmt.Sprintf("  %-34s %12s %-6s", m.Name, Number(m.Median), m.Unit)
		if len(runs) > 1 {
			line += fmt.Sprintf(" %12s ... %s", Number(m.Min), Number(m.Max))
		}
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	if first.Note != "" {
		fmt.Fprintf(&b, "  %s\n", first.Note)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Number writes a value with three or four digits that matter, large ones grouped.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000 || v == math.Trunc(v):
		return grouped(int64(math.Round(v)))
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
