// Command chatload loads a Confab edge with real clients: N clients in R rooms send
// at a total rate (open loop: a slow server does not slow the senders down), every
// member checks that it gets every message of its room, and the summary says what
// was lost and how late the rest was, counted from when each message was due.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

type options struct {
	url      string
	secret   string
	clients  int
	rooms    int
	rate     float64
	duration time.Duration
	size     int
	json     bool
}

func main() {
	o := options{}
	fs := flag.NewFlagSet("chatload", flag.ExitOnError)
	fs.StringVar(&o.url, "url", "ws://127.0.0.1:3001/ws", "the edge")
	fs.StringVar(&o.secret, "secret", os.Getenv("CONFAB_AUTH_HMAC_SECRET"), "HS256 secret to sign tokens with; empty: ask the edge's /dev/token")
	fs.IntVar(&o.clients, "clients", 100, "clients, each a user of its own")
	fs.IntVar(&o.rooms, "rooms", 10, "rooms; client i joins room i mod rooms")
	fs.Float64Var(&o.rate, "rate", 50, "messages a second, all clients together; mind the limit per user (development: 60 a minute)")
	fs.DurationVar(&o.duration, "duration", 10*time.Second, "how long to send")
	fs.IntVar(&o.size, "size", 128, "bytes of content")
	fs.BoolVar(&o.json, "json", false, "print the summary as JSON")
	_ = fs.Parse(os.Args[1:]) // it exits by itself
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	sum, err := run(ctx, o, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chatload:", err)
		os.Exit(1)
	}
	if err := sum.print(os.Stdout, o.json); err != nil {
		fmt.Fprintln(os.Stderr, "chatload:", err)
		os.Exit(1)
	}
	if sum.Lost > 0 {
		os.Exit(3)
	}
}

// summary is what a run found out. Latencies are milliseconds.
type summary struct {
	Clients    int     `json:"clients"`
	Rooms      int     `json:"rooms"`
	Seconds    float64 `json:"seconds"`
	Accepted   int64   `json:"accepted"`
	Failed     int64   `json:"failed"`
	Limited    int64   `json:"limited"`
	Delivered  int64   `json:"delivered"`
	Expected   int64   `json:"expected"`
	Lost       int64   `json:"lost"`
	Reconnects int64   `json:"reconnects"`
	Accept     latency `json:"acceptMs"`
	Deliver    latency `json:"deliverMs"`
}

type latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func (s summary) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	_, err := fmt.Fprintf(w, `
%d clients in %d rooms, %.1f s
  accepted   %8d   %.0f/s, failed %d, refused for a limit %d
  delivered  %8d   %.0f/s of %d expected, lost %d, reconnects %d
                    p50      p90      p99      max   (ms, from when each message was due)
  send -> ack    %7.2f  %7.2f  %7.2f  %7.2f
  send -> member %7.2f  %7.2f  %7.2f  %7.2f
`, s.Clients, s.Rooms, s.Seconds,
		s.Accepted, float64(s.Accepted)/s.Seconds, s.Failed, s.Limited,
		s.Delivered, float64(s.Delivered)/s.Seconds, s.Expected, s.Lost, s.Reconnects,
		s.Accept.P50, s.Accept.P90, s.Accept.P99, s.Accept.Max,
		s.Deliver.P50, s.Deliver.P90, s.Deliver.P99, s.Deliver.Max)
	return err
}
