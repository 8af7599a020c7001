package plot_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/confab-chat/confab/tools/chatload/internal/plot"
)

// elements parses a picture, and counts what is in it.
func elements(t *testing.T, svg []byte) map[string]int {
	t.Helper()
	n := make(map[string]int)
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, svg)
		}
		if start, ok := token.(xml.StartElement); ok {
			n[start.Name.Local]++
		}
	}
}

func TestSVG(t *testing.T) {
	c := plot.Chart{Title: "A & B <fast>", XLabel: "deliveries/s", YLabel: "ms", Lines: []plot.Line{
		{"p50", []plot.Point{{100_000, 0.4}, {200_000, 0.9}, {400_000, 3}}},
		{"p99", []plot.Point{{100_000, 2}, {200_000, 4}, {400_000, 55}}},
	}}
	svg := plot.SVG(c)
	n := elements(t, svg)
	if n["circle"] != 6 {
		t.Errorf("%d points, want 6", n["circle"])
	}
	for _, want := range []string{"A &amp; B &lt;fast&gt;", ">0.1<", ">100<", ">400k<", ">p99<"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("no %q", want)
		}
	}
}

// Nothing measured, one point, and a latency of zero are pictures too.
func TestSVGOfLittle(t *testing.T) {
	for name, c := range map[string]plot.Chart{
		"nothing": {},
		"no line": {Lines: []plot.Line{{"p50", nil}}},
		"zero":    {Lines: []plot.Line{{"p50", []plot.Point{{0, 0}}}}},
		"one":     {Lines: []plot.Line{{"p50", []plot.Point{{5, 1}}}}},
	} {
		svg := plot.SVG(c)
		elements(t, svg)
		if strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "Inf") {
			t.Errorf("%s: %s", name, svg)
		}
	}
}
