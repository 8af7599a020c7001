// Package cert loads a TLS certificate from a pair of PEM files, and loads it again when
// they change, so that renewing it needs no restart.
package cert

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// LookEvery is the shortest time between two checks of the files, which a handshake
// triggers.
const LookEvery = time.Second

// Pair is a certificate chain and its key. Its methods may be called concurrently.
type Pair struct {
	// Static.
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex // guards the following
	current *tls.Certificate
	seen    [2]stamp // of the files, when they were last read, with or without success
	looked  time.Time
}

// stamp distinguishes versions of a file.
type stamp struct {
	modified time.Time
	size     int64
}

// Load reads a pair. The error names the bad file. now is the clock, time.Now
// outside tests.
func Load(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, log: log, now: now, looked: now()}
	p.seen = p.stamps()
	if err := p.read(); err != nil {
		return nil, err
	}
	return p, nil
}

// Config returns the configuration of a server for HTTP/1.1, the version that can
// upgrade to WebSocket.
func (p *Pair) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: p.Certificate}
}

// Certificate returns the newest certificate that could be read. When a renewal is
// incomplete or a file is missing, it logs a warning and keeps the previous one.
func (p *Pair) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Sub(p.looked) >= LookEvery {
		p.looked = now
		p.reload()
	}
	return p.current, nil
}

// reload reads the files again if they have changed.
func (p *Pair) reload() {
	stamps := p.stamps()
	if stamps == p.seen {
		return
	}
	p.seen = stamps
	if err := p.read(); err != nil {
		p.log.Warn("certificate not renewed, keeping the previous one", "event", "tls.certificate", "err", err)
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

// stamps returns the versions of the files; zero for one that is missing.
func (p *Pair) stamps() (all [2]stamp) {
	for i, name := range []string{p.certFile, p.keyFile} {
		if info, err := os.Stat(name); err == nil {
			all[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return all
}
