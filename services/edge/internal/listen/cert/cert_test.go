package cert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/listen/cert"
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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		f.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.t.Fatal(err)
	}
	f.put(f.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	f.put(f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
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
