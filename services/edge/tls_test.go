package edge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pair writes a certificate for 127.0.0.1 and its key.
func pair(tb testing.TB) (certFile, keyFile string, pool *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AddCert(leaf)
	return certFile, keyFile, pool
}

// The doors over TLS, on the loops and on goroutines: chat, and HTTP behind the same port.
func TestTLS(t *testing.T) {
	t.Parallel()
	for _, io := range []string{"auto", "goroutine"} {
		t.Run(io, func(t *testing.T) {
			t.Parallel()
			certFile, keyFile, pool := pair(t)
			w := start(t, "EDGE_IO="+io, "EDGE_TLS_CERT_FILE="+certFile, "EDGE_TLS_KEY_FILE="+keyFile)
			w.tls = &tls.Config{RootCAs: pool}
			ann, bob := w.dial("ann"), w.dial("bob")
			ann.join("r")
			bob.join("r")
			w.owner.Say("r", "ann", "over TLS")
			for _, c := range []*client{ann, bob} {
				if got := c.event("receiveMessage", 1); got.Content != "over TLS" {
					t.Errorf("got %+v", got)
				}
			}
			client := http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: w.tls}}
			defer client.CloseIdleConnections()
			for range 2 { // kept alive
				resp, err := client.Get("https://" + w.addr + "/")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("demo page: %s", resp.Status)
				}
			}
		})
	}
}
