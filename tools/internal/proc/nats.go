package proc

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// natsEnv carries the options of a nats-server to the process that is one.
const natsEnv = "CONFAB_TEST_NATS"

// natsOptions are those of a server, with a port for its clients and, in a cluster,
// one for the others.
type natsOptions struct {
	Name   string
	Addr   string // of clients
	Store  string
	Fast   bool     // acknowledgements do not wait for the disk
	Route  string   // own address in the cluster; empty: there is none
	Routes []string // of all
}

func (o natsOptions) environ() []string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings
	}
	return []string{childMode + "=nats", natsEnv + "=" + string(b)}
}

// serveNATS is the child: it ends by a signal only.
func serveNATS() {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var o natsOptions
	if err := json.Unmarshal([]byte(os.Getenv(natsEnv)), &o); err != nil {
		fail(err)
	}
	opts, err := o.server()
	if err != nil {
		fail(err)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		fail(err)
	}
	s.ConfigureLogger()
	s.Start()
	select {}
}

// server are the options of the library.
func (o natsOptions) server() (*server.Options, error) {
	host, port, err := split(o.Addr)
	if err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName: o.Name, Host: host, Port: port, JetStream: true, StoreDir: o.Store, SyncAlways: !o.Fast, NoSigs: true,
	}
	if o.Route == "" {
		return opts, nil
	}
	opts.Cluster.Name = "proc"
	opts.Cluster.NoAdvertise = true // clients stay on the addresses, and behind the gates, that they are given
	if opts.Cluster.Host, opts.Cluster.Port, err = split(o.Route); err != nil {
		return nil, err
	}
	for _, r := range o.Routes {
		opts.Routes = append(opts.Routes, server.RoutesFromStr("nats-route://"+r)...)
	}
	return opts, nil
}

func split(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}
