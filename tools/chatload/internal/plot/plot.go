// Package plot draws latency over load as an SVG: one line for each percentile, a
// logarithmic scale for the latency, and a mark on every point that was measured. Pure.
package plot

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"slices"
)

// Line is one curve. Points are in the order of X.
type Line struct {
	Name   string
	Points []Point
}

// Point is one measurement.
type Point struct{ X, Y float64 }

// Chart is what is drawn. Y values of 0 or less are not.
type Chart struct {
	Title, XLabel, YLabel string
	Lines                 []Line
}

// Size of the picture and its margins, in pixels.
const (
	width, height            = 800, 480
	left, right, top, bottom = 70, 110, 40, 50
	plotWidth, plotHeight    = width - left - right, height - top - bottom
)

// colors are Okabe and Ito's, which colour-blind people can tell apart.
var colors = []string{"#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#000000"}

// SVG draws c.
func SVG(c Chart) []byte {
	s := scaleOf(c)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	text(&b, left, 24, "start", 16, c.Title)
	text(&b, left+plotWidth/2, height-12, "middle", 12, c.XLabel)
	fmt.Fprintf(&b, `<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", top+plotHeight/2, html.EscapeString(c.YLabel))
	s.grid(&b)
	for i, line := range c.Lines {
		s.line(&b, i, line)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func text(b *bytes.Buffer, x, y int, anchor string, size int, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" font-size="%d">%s</text>`+"\n", x, y, anchor, size, html.EscapeString(s))
}

// scale maps values to pixels.
type scale struct {
	maxX       float64
	minY, maxY int // powers of ten
}

func scaleOf(c Chart) scale {
	s := scale{maxX: 1, minY: 0, maxY: 1}
	var ys []float64
	for _, l := range c.Lines {
		for _, p := range l.Points {
			s.maxX = max(s.maxX, p.X)
			if p.Y > 0 {
				ys = append(ys, p.Y)
			}
		}
	}
	if len(ys) > 0 {
		s.minY = int(math.Floor(math.Log10(slices.Min(ys))))
		s.maxY = max(s.minY+1, int(math.Ceil(math.Log10(slices.Max(ys)))))
	}
	return s
}

func (s scale) x(v float64) float64 { return left + v/s.maxX*plotWidth }

func (s scale) y(v float64) float64 {
	part := (math.Log10(v) - float64(s.minY)) / float64(s.maxY-s.minY)
	return top + (1-part)*plotHeight
}

func (s scale) grid(b *bytes.Buffer) {
	rule := func(x1, y1, x2, y2 float64) {
		fmt.Fprintf(b, `<path d="M%.1f %.1fL%.1f %.1f" stroke="#ddd"/>`+"\n", x1, y1, x2, y2)
	}
	for e := s.minY; e <= s.maxY; e++ {
		v := math.Pow(10, float64(e))
		rule(left, s.y(v), left+plotWidth, s.y(v))
		text(b, left-6, int(s.y(v))+4, "end", 12, fmt.Sprintf("%g", v))
	}
	step := stepOf(s.maxX)
	for v := 0.0; v <= s.maxX; v += step {
		rule(s.x(v), top, s.x(v), top+plotHeight)
		text(b, int(s.x(v)), top+plotHeight+18, "middle", 12, short(v))
	}
}

// stepOf is 1, 2 or 5 times a power of ten, for four to ten lines.
func stepOf(m float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(m)))
	switch n := m / step; {
	case n < 2:
		return step / 5
	case n < 5:
		return step / 2
	}
	return step
}

// short writes 200000 as 200k.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}

func (s scale) line(b *bytes.Buffer, i int, l Line) {
	color := colors[i%len(colors)]
	path, last := "", Point{}
	var marks bytes.Buffer
	for _, p := range l.Points {
		if p.Y <= 0 {
			continue
		}
		path += fmt.Sprintf("%c%.1f %.1f", "ML"[min(1, len(path))], s.x(p.X), s.y(p.Y))
		fmt.Fprintf(&marks, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s %s: %.3g</title></circle>`+"\n",
			s.x(p.X), s.y(p.Y), color, html.EscapeString(l.Name), short(p.X), p.Y)
		last = p
	}
	if path == "" {
		return
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path, color)
	b.Write(marks.Bytes())
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n", s.x(last.X)+8, s.y(last.Y)+4, color, html.EscapeString(l.Name))
}
