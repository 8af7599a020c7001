package cert_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/shared/cert"
	"github.com/confab-chat/confab/shared/cert/certtest"
)

// files is a folder with a pair.
type files struct {
	t         *testing.T
	cert, key string
	written   time.Time
}

func newFiles(t *testing.T) *files {
	dir := t.TempDir()
	return &files{t, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), time.Now().Add(-time.Hour)}
}

// write makes a new pair; each is modified later than the one before.
func (f *files) write(serial int64) {
	f.t.Helper()
	pair, _ := certtest.New(f.t, serial)
	cert, key := certtest.PEM(f.t, pair)
	f.put(f.cert, cert)
	f.put(f.key, key)
}

func (f *files) put(name string, data []byte) {
	f.t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.written = f.written.Add(time.Second)
	if err := os.Chtimes(name, f.written, f.written); err != nil {
		f.t.Fatal(err)
	}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.write(1)
	now := time.Unix(1000, 0)
	p, err := cert.Load(f.cert, f.key, slog.New(slog.DiscardHandler), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	shows := func(what string, serial int64) {
		t.Helper()
		c, err := p.Certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Leaf.SerialNumber.Int64(); got != serial {
			t.Errorf("%s: certificate %d, want %d", what, got, serial)
		}
	}
	shows("at first", 1)
	f.write(2)
	shows("within a second", 1)
	now = now.Add(cert.LookEvery)
	shows("renewed", 2)
	f.put(f.key, []byte("half of it"))
	now = now.Add(cert.LookEvery)
	shows("a broken key", 2)
	if err := os.Remove(f.cert); err != nil {
		t.Fatal(err)
	}
	now = now.Add(cert.LookEvery)
	shows("no certificate", 2)
	f.write(3)
	now = now.Add(cert.LookEvery)
	shows("whole again", 3)
}

func TestWrongFiles(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	_, err := cert.Load(f.cert, f.key, slog.New(slog.DiscardHandler), time.Now)
	if err == nil || !strings.Contains(err.Error(), f.cert) {
		t.Errorf("nothing there: %v", err)
	}
	f.write(1)
	other := newFiles(t)
	other.write(2)
	if _, err := cert.Load(f.cert, other.key, slog.New(slog.DiscardHandler), time.Now); err == nil {
		t.Error("a key that does not fit was accepted")
	}
}
