package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// natsServer is one nats-server of a cluster.
type natsServer struct {
	name  string
	addr  string // of clients
	route string // of the other servers; empty: the server is alone
}

// writeNATS writes the settings of a nats-server and returns the path of the file.
func (c *Cluster) writeNATS(s natsServer) (path string, err error) {
	sync := "always"
	if c.options.Fast {
		sync = "2m" // the server's default
	}
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %q\nserver_name: %q\nping_interval: \"5s\"\nping_max: 2\n", s.addr, s.name)
	fmt.Fprintf(&b, "jetstream { store_dir: %q, sync_interval: %s }\n", filepath.Join(c.options.Dir, s.name), sync)
	if s.route != "" {
		var routes []string
		for _, other := range c.nats {
			routes = append(routes, fmt.Sprintf("%q", "nats-route://"+other.route))
		}
		// Clients stay on the addresses that they are given, and behind the gates of tests.
		fmt.Fprintf(&b, "cluster { name: confab, listen: %q, no_advertise: true, routes: [%s] }\n", s.route, strings.Join(routes, ", "))
	}
	path = filepath.Join(c.options.Dir, s.name+".conf")
	return path, os.WriteFile(path, []byte(b.String()), 0o600)
}
