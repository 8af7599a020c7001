// Package cert is the certificate that the edge shows: a pair of PEM files, read
// again when they change, as those who renew certificates expect.
package cert

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// LookEvery is how often, at most, the files are looked at: at a handshake.
const LookEvery = time.Second

// Pair is a certificate chain and its key. Its methods may be called concurrently.
type Pair struct {
	// Static.
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex // guards the following
	current *tls.Certificate
	seen    [2]stamp // of the files, when they were read or found wanting last
	looked  time.Time
}

// stamp tells one version of a file from the next.
type stamp struct {
	modified time.Time
	size     int64
}

// Load reads a pair. The error says which file is wrong. now is the clock,
// time.Now outside tests.
func Load(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, log: log, now: now, looked: now()}
	p.seen = p.stamps()
	if err := p.read(); err != nil {
		return nil, err
	}
	return p, nil
}

// Config is a server's for HTTP/1.1, which is what upgrades to WebSocket.
func (p *Pair) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: p.Certificate}
}

// Certificate is the newest that could be read: half a renewal, or a file that is
// gone, leaves the one before in place, and a warning in the log.
func (p *Pair) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Sub(p.looked) >= LookEvery {
		p.looked = now
		p.look()
	}
	return p.current, nil
}

// look reads the files again if they are not what they were.
func (p *Pair) look() {
	stamps := p.stamps()
	if stamps == p.seen {
		return
	}
	p.seen = stamps
	if err := p.read(); err != nil {
		p.log.Warn("certificate not renewed, the one before stays", "event", "tls.certificate", "err", err)
		return
	}
	p.log.Info("certificate renewed", "event", "tls.certificate", "notAfter", p.current.Leaf.NotAfter)
}

func (p *Pair) read() error {
	c, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("%s with %s: %w", p.certFile, p.keyFile, err)
	}
	p.current = &c
	return nil
}

// stamps are zero for a file that cannot be looked at.
func (p *Pair) stamps() (all [2]stamp) {
	for i, name := range []string{p.certFile, p.keyFile} {
		if info, err := os.Stat(name); err == nil {
			all[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return all
}
