package partition_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// logLines keeps what was logged.
type logLines struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func newLogLines() *logLines { return &logLines{} }

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) count(message string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), `msg="`+message+`"`)
}
