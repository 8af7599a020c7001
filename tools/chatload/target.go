package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// wss before an address says that the server speaks TLS.
const wss = "wss://"

// fromAddr finds the servers that -addr names.
func (f *flags) fromAddr() error {
	plain, names := 0, make(map[string]bool)
	for addr := range strings.SplitSeq(f.addr, ",") {
		addr, secure := strings.CutPrefix(strings.TrimSpace(addr), wss)
		target, host, err := resolve(strings.TrimPrefix(addr, "ws://"))
		if err != nil {
			return err
		}
		f.Targets = append(f.Targets, target)
		if names[host] = true; !secure {
			plain++
		}
	}
	switch {
	case plain == len(f.Targets):
		return nil
	case plain > 0 || len(names) > 1:
		return errors.New("-addr: all servers must speak TLS under one name, or none")
	}
	for host := range names {
		return f.trust(host)
	}
	return nil
}

// resolve is the address of a server, and the name it was given by.
func resolve(addr string) (target netip.AddrPort, host string, err error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return target, "", err
	}
	host, _, err = net.SplitHostPort(addr)
	a := tcp.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), host, err
}

// trust makes the configuration of TLS with servers of that name.
func (f *flags) trust(name string) error {
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
