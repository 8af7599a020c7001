package scenario

import (
	"fmt"
	"io"
	"time"
)

// progress is a line a second that says how it goes.
type progress struct {
	w    io.Writer
	next time.Time
}

// show prints the line when its time has come.
func (p *progress) show(phase, format string, args ...any) {
	now := time.Now()
	if p.w == nil || now.Before(p.next) {
		return
	}
	p.next = now.Add(time.Second)
	fmt.Fprintf(p.w, "%s %-9s "+format+"\n", append([]any{now.Format("15:04:05"), phase}, args...)...)
}

// due tells whether show would print, for callers whose figures cost something.
func (p *progress) due() bool { return p.w != nil && !time.Now().Before(p.next) }
