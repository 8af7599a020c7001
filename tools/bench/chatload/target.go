//go:build linux

package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/confab-chat/confab/tools/bench/internal/usage"
)

const (
	// secureScheme before an address means that the server speaks TLS.
	secureScheme = "wss://"
	// suiteVariable is where testbed announces the suite that it started.
	suiteVariable = "TESTBED_SUITE"
)

// suite is the description that testbed writes of what it started.
type suite struct {
	Secret    string `json:"secret"`
	CA        string `json:"ca"` // file with the edges' certificate; empty: no TLS
	Processes []struct {
		Name string `json:"name"` // edge, room, ratelimit, monitor, nats
		Pid  int    `json:"pid"`
		Addr string `json:"addr"` // of clients, host:port
	} `json:"processes"`
}

// resolveSuite sets targets, processes, secret and TLS from the file of -suite.
func (f *flags) resolveSuite() error {
	b, err := os.ReadFile(f.suite)
	if err != nil {
		return err
	}
	var s suite
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%s: %w", f.suite, err)
	}
	// The edge comes first in tables, and the others in the order of testbed.
	f.Groups = []usage.Group{{Name: "edge"}}
	for _, p := range s.Processes {
		f.Groups = usage.AddPid(f.Groups, p.Name, p.Pid)
		if p.Name == "edge" {
			addr, err := netip.ParseAddrPort(p.Addr)
			if err != nil {
				return fmt.Errorf("%s: %w", f.suite, err)
			}
			f.Targets = append(f.Targets, addr)
		}
	}
	if len(f.Targets) == 0 {
		return fmt.Errorf("%s: no edge", f.suite)
	}
	f.secret = s.Secret
	if s.CA != "" {
		f.ca = s.CA
		return f.useTLS("") // the certificate is for addresses
	}
	return nil
}

// resolveAddr sets the targets, and TLS, from -addr.
func (f *flags) resolveAddr() error {
	secure, names := 0, make(map[string]bool)
	for addr := range strings.SplitSeq(f.addr, ",") {
		addr, isSecure := strings.CutPrefix(strings.TrimSpace(addr), secureScheme)
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			return fmt.Errorf("-addr: %w", err)
		}
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("-addr: %w", err)
		}
		target := tcp.AddrPort()
		f.Targets = append(f.Targets, netip.AddrPortFrom(target.Addr().Unmap(), target.Port()))
		if names[host] = true; isSecure {
			secure++
		}
	}
	switch {
	case secure == 0:
		return nil
	case secure < len(f.Targets) || len(names) > 1:
		return errors.New("-addr: either all servers speak TLS under one name, or none does")
	}
	for host := range names {
		return f.useTLS(host)
	}
	return nil
}

// useTLS makes connections use TLS. The servers' certificates must be for name; empty: for
// their addresses.
func (f *flags) useTLS(name string) error {
	f.TLS = &tls.Config{ServerName: name, InsecureSkipVerify: f.insecure}
	if f.ca == "" {
		return nil
	}
	pem, err := os.ReadFile(f.ca)
	if err != nil {
		return err
	}
	f.TLS.RootCAs = x509.NewCertPool()
	if !f.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: no certificate in it", f.ca)
	}
	return nil
}
