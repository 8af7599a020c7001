package natsconn

import (
	"bufio"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// A server that answers no ping for Stalled is taken for hung, one over which no peer is
	// heard for as long is taken for cut off from the others. The connection then moves to
	// another server, if there is one.
	Stalled = 3 * time.Second

	// checkEvery is the time between two checks of a connection.
	checkEvery = 500 * time.Millisecond

	// A connection that does not work on any server moves after growing pauses.
	minMovePause = 5 * time.Second
	maxMovePause = time.Minute

	// apartEvery is how often two connections of an instance to one server look for another
	// one, which has infoWait to answer.
	apartEvery = 5 * time.Second
	infoWait   = time.Second
)

// watch checks one connection until it is closed.
type watch struct {
	// Static.
	nc     *nats.Conn
	status *Status
	peers  string // a subject on which peers publish each second; may be empty

	heard atomic.Int64 // when a peer was heard, in Unix nanoseconds; 0: never

	// Owned by run.
	upSince time.Time // of the present connection; zero while there is none
	stalled bool      // it was reported as down, because the server does not answer
	apartAt time.Time // of the next look for another server
}

func (w *watch) run() {
	closed := w.nc.StatusChanged(nats.CLOSED)
	defer w.nc.RemoveStatusListener(closed)
	if w.nc.IsClosed() {
		return
	}
	if w.peers != "" {
		// The subscription ends with the connection. Without it, no cut is noticed.
		_, _ = w.nc.Subscribe(w.peers, func(*nats.Msg) { w.heard.Store(time.Now().UnixNano()) })
	}
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-closed:
			return
		case <-tick.C:
			w.check()
		}
	}
}

func (w *watch) check() {
	if !w.nc.IsConnected() {
		w.upSince, w.stalled = time.Time{}, false
		return
	}
	if w.upSince.IsZero() {
		w.upSince = time.Now()
	}
	err := w.nc.FlushTimeout(Stalled)
	now := time.Now()
	switch {
	case errors.Is(err, nats.ErrTimeout):
		w.stalled = true
		w.status.set(w.nc, false, now)
		w.status.Move(w.nc, "the server does not answer")
	case err != nil: // the library has noticed
	case w.silent(now):
		w.status.Move(w.nc, "the server is cut off from the others: no room service is heard over it")
	default:
		if w.stalled {
			w.stalled = false
			w.status.set(w.nc, true, now)
		}
		w.keepApart(now)
	}
}

// silent reports whether peers, heard before, are heard no more on this connection.
func (w *watch) silent(now time.Time) bool {
	heard := w.heard.Load()
	return heard != 0 && now.Sub(w.upSince) > Stalled && now.Sub(time.Unix(0, heard)) > Stalled
}

// keepApart moves the connection when an older one of the instance uses the same server, and
// another server answers.
func (w *watch) keepApart(now time.Time) {
	if now.Before(w.apartAt) || len(w.nc.Servers()) < 2 {
		return
	}
	w.apartAt = now.Add(apartEvery)
	used, shared := w.status.servers(w.nc)
	if !shared {
		return
	}
	for _, u := range w.nc.Servers() {
		if id := serverID(u); id != "" && !slices.Contains(used, id) {
			w.status.Move(w.nc, "another connection uses the same server")
			return
		}
	}
}

// serverID returns the id of the server at an address, empty if it does not answer.
func serverID(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	c, err := net.DialTimeout("tcp", u.Host, infoWait)
	if err != nil {
		return ""
	}
	defer c.Close()
	if c.SetReadDeadline(time.Now().Add(infoWait)) != nil {
		return ""
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	text, greets := strings.CutPrefix(line, "INFO ")
	var info struct {
		ID string `json:"server_id"`
	}
	if err != nil || !greets || json.Unmarshal([]byte(text), &info) != nil {
		return ""
	}
	return info.ID
}

// Move makes a connection use another server, because of why. It does nothing if the connection
// knows one server only, is down, or has moved a short time ago: the pauses between moves grow
// from 5 s to a minute.
func (s *Status) Move(nc *nats.Conn, why string) {
	if len(nc.Servers()) < 2 || !nc.IsConnected() {
		return
	}
	now := time.Now()
	s.mu.Lock()
	l, open := s.links[nc]
	due := open && !now.Before(l.movedAt.Add(l.pause))
	if due {
		if l.pause = min(2*l.pause, maxMovePause); l.pause == 0 || now.Sub(l.movedAt) > 2*maxMovePause {
			l.pause = minMovePause
		}
		l.movedAt = now
		s.links[nc] = l
	}
	s.mu.Unlock()
	if !due {
		return
	}
	l.log.Warn("nats connection moves to another server", "conn", nc.Opts.Name, "from", nc.ConnectedServerName(), "why", why)
	// An error means that the connection is closed.
	_ = nc.ForceReconnect()
}

// servers returns the ids of the servers that the connections use, and whether one that was
// opened before nc uses that of nc.
func (s *Status) servers(nc *nats.Conn) (ids []string, shared bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, l := range s.links {
		if id := other.ConnectedServerId(); id != "" {
			ids = append(ids, id)
			shared = shared || l.number < s.links[nc].number && id == nc.ConnectedServerId()
		}
	}
	return ids, shared
}

// urls returns the addresses of the servers that the connections use.
func (s *Status) urls() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for nc := range s.links {
		list = append(list, nc.ConnectedUrl())
	}
	return strings.Join(list, ",")
}

// watch starts to watch a connection that was just opened.
func (s *Status) watch(nc *nats.Conn, peers string, log *slog.Logger) {
	s.mu.Lock()
	s.opens++
	if l, open := s.links[nc]; open {
		l.number, l.log = s.opens, log
		s.links[nc] = l
	}
	s.mu.Unlock()
	go (&watch{nc: nc, status: s, peers: peers}).run() // until the connection is closed
}
