package listen

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/listen/head"
)

const (
	// handOffs bounds the connections that wait for net/http's accept loop, which
	// only starts a goroutine for each.
	handOffs = 1024
	// httpShutdown is how long requests may take to end at shutdown.
	httpShutdown = 2 * time.Second
)

// httpServer is the net/http side: a net.Listener whose connections come from the
// loops.
type httpServer struct {
	server *Server
	conns  chan net.Conn // loops to Accept; never closed
	done   chan struct{} // closed by Close, once
	once   sync.Once
	count  *atomic.Int64 // connections that net/http serves
}

func newHTTPServer(s *Server) *httpServer {
	return &httpServer{server: s, conns: make(chan net.Conn, handOffs), done: make(chan struct{}), count: &s.stats.HTTP}
}

// run serves until ctx ends.
func (w *httpServer) run(ctx context.Context) error {
	o := w.server.options
	srv := &http.Server{
		Handler:           http.HandlerFunc(w.handle),
		ReadHeaderTimeout: o.HandshakeTimeout,
		IdleTimeout:       o.IdleTimeout,
		MaxHeaderBytes:    head.MaxBytes,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(w) }()
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpShutdown)
	defer cancel()
	err := srv.Shutdown(end)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close() // the edge's drain has warned these clients
	}
	<-served // http.ErrServerClosed
	w.closeQueued()
	return err
}

// closeQueued closes connections that were handed over too late.
func (w *httpServer) closeQueued() {
	for {
		select {
		case c := <-w.conns:
			c.Close()
		default:
			return
		}
	}
}

// Accept implements net.Listener.
func (w *httpServer) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *httpServer) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

// Addr implements net.Listener; net/http puts it into the request's context.
func (w *httpServer) Addr() net.Addr { return &net.TCPAddr{} }

// handOff passes the connection and the bytes read so far to net/http.
func (p *pending) handOff(b []byte) {
	w := p.local.server.http
	if w.count.Load() >= int64(p.local.server.options.MaxHTTP) {
		p.refuse(refused(Overload))
		return
	}
	early := bytes.Clone(b)
	nc := p.detach()
	if nc == nil {
		return
	}
	w.count.Add(1)
	c := &handed{Conn: nc, early: early, count: w.count}
	select {
	case w.conns <- c:
	default:
		p.local.server.stats.Refused[Overload].Add(1)
		c.Close()
	}
	select {
	case <-w.done: // Accept may have returned for the last time
		w.closeQueued()
	default:
	}
}

// handed is a connection that net/http serves, with the bytes that the loop has
// already read.
type handed struct {
	net.Conn
	early []byte // owned by the reader
	count *atomic.Int64
	once  sync.Once
}

func (c *handed) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	return c.Conn.Read(b)
}

func (c *handed) Close() error {
	c.once.Do(func() { c.count.Add(-1) })
	return c.Conn.Close()
}

// CloseWrite is what net/http uses to linger.
func (c *handed) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return nil
}

// handle serves a request. An upgrade on a connection that started with plain HTTP,
// as proxies with kept-alive connections send it, returns to the loops.
func (w *httpServer) handle(rw http.ResponseWriter, r *http.Request) {
	i, known := w.server.routes[r.URL.EscapedPath()]
	if !known || !w.server.options.Routes[i].Only && !wantsWebSocket(r) {
		w.server.options.HTTP.ServeHTTP(rw, r)
		return
	}
	again, err := rewrite(r)
	if err != nil {
		http.Error(rw, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	nc, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		http.Error(rw, http.StatusText(http.StatusHTTPVersionNotSupported), http.StatusHTTPVersionNotSupported)
		return
	}
	early, _ := buf.Reader.Peek(buf.Reader.Buffered()) // these bytes are there: no error
	again = append(again, early...)
	c, ok := nc.(*handed)
	if !ok {
		nc.Close()
		return
	}
	w.returnToLoops(c, append(again, c.early...))
}

// returnToLoops attaches a connection to a loop again, with the bytes of its request.
func (w *httpServer) returnToLoops(c *handed, b []byte) {
	c.once.Do(func() { c.count.Add(-1) })
	c.Conn.SetDeadline(time.Time{})
	w.server.attach(c.Conn, b, w.server.options.Group.Attach, true)
}

// errRewrite is returned for a request that cannot be rebuilt.
var errRewrite = errors.New("request cannot be rebuilt from net/http")

// wantsWebSocket reports whether a request asks for an upgrade to WebSocket.
func wantsWebSocket(r *http.Request) bool {
	return slices.ContainsFunc(r.Header["Upgrade"], func(v string) bool { return head.HasToken([]byte(v), "websocket") })
}

// rewrite rebuilds the head of a request that net/http has parsed. Only the order
// and case of header names may differ from the original.
func rewrite(r *http.Request) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(r.Method + " " + r.RequestURI + " " + r.Proto + "\r\n")
	if r.Host != "" {
		b.WriteString("Host: " + r.Host + "\r\n")
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		b.WriteString("Transfer-Encoding: chunked\r\n") // net/http removes the header; a request with a body is refused
	}
	if err := r.Header.Write(&b); err != nil {
		return nil, err
	}
	b.WriteString("\r\n")
	if _, err := head.Parse(b.Bytes()); err != nil || b.Len() > head.MaxBytes {
		return nil, errRewrite
	}
	return b.Bytes(), nil
}
