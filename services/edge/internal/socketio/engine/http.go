package engine

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/engineio"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/wire"
	"github.com/confab-chat/confab/services/edge/internal/auth"
)

// bodyTimeout is how long the body of a POST may take to arrive.
const bodyTimeout = 15 * time.Second

// Transports, as the query names them.
const (
	transportPolling   = "polling"
	transportWebSocket = "websocket"
)

// ServeHTTP serves the requests of long-polling.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	transport, isNew := q.Get("transport"), !q.Has("sid")
	foreign := len(r.Header["Origin"]) > 0 && !s.Origins.Allow(r.Header.Get("Origin"))
	switch {
	case err != nil:
		writeFault(w, engineio.BadRequest)
	case transport != transportPolling && transport != transportWebSocket:
		writeFault(w, engineio.UnknownTransport)
	case foreign:
		writeFault(w, engineio.Forbidden)
	case isNew && r.Method != http.MethodGet:
		writeFault(w, engineio.BadMethod)
	case transport == transportWebSocket: // without an upgrade
		writeFault(w, engineio.BadRequest)
	case q.Get("EIO") != engineio.Version:
		writeFault(w, engineio.BadVersion)
	case isNew:
		s.serveOpen(w, r, q.Get("token"))
	case r.Method == http.MethodGet:
		s.servePoll(w, r, q.Get("sid"))
	case r.Method == http.MethodPost:
		s.servePost(w, r, q.Get("sid"))
	default:
		writeFault(w, engineio.BadRequest)
	}
}

// serveOpen opens a session over long-polling. Its open packet is the answer.
func (s *Server) serveOpen(w http.ResponseWriter, r *http.Request, queryToken string) {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // zero when it is not an address
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	release, refusal := s.Admit(peer.Addr())
	if refusal != nil {
		writeRefusal(w, refusal)
		return
	}
	token := auth.Bearer(r.Header.Get("Authorization"))
	if token == "" && s.QueryToken {
		token = queryToken
	}
	l := s.locals[int(s.opened.Add(1))%len(s.locals)]
	x := make(httpExchange, 1)
	if !l.loop.Post(func() { l.openPolling(x, token, peer, release) }) {
		release()
		writeFault(w, engineio.BadRequest)
		return
	}
	x.writeAnswer(w, r)
}

// servePoll serves a GET: it waits until the session has something to send.
func (s *Server) servePoll(w http.ResponseWriter, r *http.Request, sid string) {
	socket := s.find(sid)
	if socket == nil {
		s.forwardPoll(w, r, sid)
		return
	}
	loop, x := socket.local.loop, make(httpExchange, 1)
	if !loop.Post(func() { socket.acceptPoll(x) }) {
		writeFault(w, engineio.UnknownSession)
		return
	}
	if !x.writeAnswer(w, r) {
		loop.Post(func() { socket.abandonPoll(x) })
	}
}

// servePost serves a POST: it waits until the session has consumed the packets.
func (s *Server) servePost(w http.ResponseWriter, r *http.Request, sid string) {
	socket := s.find(sid)
	if socket != nil {
		if !socket.posting.CompareAndSwap(false, true) {
			socket.local.loop.Post(socket.closeForSecondPost)
			writeFault(w, engineio.BadRequest)
			return
		}
		defer socket.posting.Store(false)
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	if socket == nil {
		s.forward(w, r, &wire.Poll{Kind: wire.PollPost, SID: sid, ID: newRequestID(), Body: body})
		return
	}
	x := make(httpExchange, 1)
	if !socket.local.loop.Post(func() { socket.acceptPost(x, body) }) {
		writeFault(w, engineio.UnknownSession)
		return
	}
	x.writeAnswer(w, r)
}

// readBody reads a POST's body within its limits. When it returns false it has
// answered the request.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	switch kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(strings.ToLower(kind)) {
	case "", "text/plain", "application/octet-stream":
	default:
		writeAnswer(w, http.StatusUnsupportedMediaType, engineio.BadRequest.Body())
		return nil, false
	}
	if r.ContentLength > int64(s.MaxPayload) {
		writeAnswer(w, http.StatusRequestEntityTooLarge, nil)
		return nil, false
	}
	limits := http.NewResponseController(w)
	_ = limits.SetReadDeadline(time.Now().Add(bodyTimeout)) // a server that cannot set one has none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.MaxPayload)))
	_ = limits.SetReadDeadline(time.Time{})
	switch tooBig := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooBig):
		writeAnswer(w, http.StatusRequestEntityTooLarge, nil)
	case err != nil || !utf8.Valid(body):
		writeFault(w, engineio.BadRequest)
	default:
		return body, true
	}
	return nil, false
}

func writeFault(w http.ResponseWriter, f engineio.Fault) { writeAnswer(w, f.Status(), f.Body()) }

// writeRefusal answers with the contract's error object, and with Retry-After when e
// says how long to wait.
func writeRefusal(w http.ResponseWriter, e *code.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	writeAnswer(w, e.Code.Status(), event.AppendError(nil, e, event.At(time.Now())))
}

func writeAnswer(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	if status != http.StatusOK && len(body) > 0 {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone asks again
}
