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
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/codec/engineio"
	"github.com/confab-chat/confab/services/edge/internal/listen/origin"
)

// bodyTimeout is how long a POST may take to arrive, like any message.
const bodyTimeout = 15 * time.Second

var timeNow = time.Now

// Handler answers the requests of long-polling.
func (s *Server) Handler() http.Handler {
	return origin.CORS(s.Origins, http.HandlerFunc(s.serve))
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	sid := q.Get("sid")
	foreign := len(r.Header["Origin"]) > 0 && !s.Origins.Allow(r.Header.Get("Origin"))
	switch transport := q.Get("transport"); {
	case err != nil:
		refuse(w, engineio.BadRequest)
	case transport != transportPolling && transport != transportWebSocket:
		refuse(w, engineio.UnknownTransport)
	case foreign:
		refuse(w, engineio.Forbidden)
	case !q.Has("sid") && r.Method != http.MethodGet:
		refuse(w, engineio.BadMethod)
	case transport == transportWebSocket: // and yet no WebSocket
		refuse(w, engineio.BadRequest)
	case q.Get("EIO") != engineio.Version:
		refuse(w, engineio.BadVersion)
	case !q.Has("sid"):
		s.open(w, r, q)
	case r.Method == http.MethodGet:
		s.poll(w, r, sid)
	case r.Method == http.MethodPost:
		s.post(w, r, sid)
	default:
		refuse(w, engineio.BadRequest)
	}
}

// open begins a session.
func (s *Server) open(w http.ResponseWriter, r *http.Request, q url.Values) {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // zero when it is none
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	leave, no := s.Admit(peer.Addr())
	if no != nil {
		turnAway(w, no)
		return
	}
	l := s.locals[int(s.next.Add(1))%len(s.locals)]
	x := newRequest()
	token := s.token(r, q)
	if !l.loop.Post(func() { l.open(x, token, peer, leave) }) {
		leave()
		refuse(w, engineio.BadRequest)
		return
	}
	x.wait(w, r, func() {})
}

// open begins a session over long-polling; its open packet answers x.
func (l *local) open(x exchange, token string, peer netip.AddrPort, leave func()) {
	s := l.newSocket(token)
	s.polling = &polling{socket: s, sid: l.server.newID(), peer: peer, leave: leave, get: x}
	l.server.sessions.add(s)
	l.set.Open(s.polling, s, nil, nil)
}

// token is what the handshake brings beside Socket.IO's own.
func (s *Server) token(r *http.Request, q url.Values) string {
	if t := auth.Bearer(r.Header.Get("Authorization")); t != "" {
		return t
	}
	if s.QueryToken {
		return q.Get("token")
	}
	return ""
}

func (s *Server) poll(w http.ResponseWriter, r *http.Request, sid string) {
	socket := s.sessions.find(sid)
	if socket == nil {
		s.pollElsewhere(w, r, sid)
		return
	}
	x := newRequest()
	if !socket.local.loop.Post(func() { socket.ask(x) }) {
		refuse(w, engineio.UnknownSession)
		return
	}
	x.wait(w, r, func() { socket.local.loop.Post(func() { socket.hungUp(x) }) })
}

func (s *Server) post(w http.ResponseWriter, r *http.Request, sid string) {
	socket := s.sessions.find(sid)
	if socket != nil && !socket.posting.CompareAndSwap(false, true) {
		socket.local.loop.Post(socket.twice)
		refuse(w, engineio.BadRequest)
		return
	}
	if socket != nil {
		defer socket.posting.Store(false)
	}
	body, ok := s.body(w, r)
	if !ok {
		return
	}
	if socket == nil {
		s.postElsewhere(w, r, sid, body)
		return
	}
	x := newRequest()
	if !socket.local.loop.Post(func() { socket.tell(x, body) }) {
		refuse(w, engineio.UnknownSession)
		return
	}
	x.wait(w, r, func() {})
}

// body reads what is posted, within its limits; it has refused the rest.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	switch kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(strings.ToLower(kind)) {
	case "", "text/plain", "application/octet-stream":
	default:
		answer(w, http.StatusUnsupportedMediaType, engineio.BadRequest.Body())
		return nil, false
	}
	if r.ContentLength > int64(s.MaxPayload) {
		answer(w, http.StatusRequestEntityTooLarge, nil)
		return nil, false
	}
	limits := http.NewResponseController(w)
	_ = limits.SetReadDeadline(timeNow().Add(bodyTimeout)) // where it cannot be set there is none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.MaxPayload)))
	_ = limits.SetReadDeadline(time.Time{})
	switch tooBig := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooBig):
		answer(w, http.StatusRequestEntityTooLarge, nil)
	case err != nil || !utf8.Valid(body):
		refuse(w, engineio.BadRequest)
	default:
		return body, true
	}
	return nil, false
}

// request is an exchange over HTTP.
type request struct{ answered chan reply } // capacity 1

type reply struct {
	status int
	body   []byte
}

func newRequest() *request { return &request{make(chan reply, 1)} }

func (x *request) answer(status int, body []byte) { x.answered <- reply{status, body} }

// wait writes the answer; letGo is called when the client goes before.
func (x *request) wait(w http.ResponseWriter, r *http.Request, letGo func()) {
	select {
	case a := <-x.answered:
		answer(w, a.status, a.body)
	case <-r.Context().Done():
		letGo()
	}
}

func refuse(w http.ResponseWriter, f engineio.Fault) { answer(w, f.Status(), f.Body()) }

// turnAway answers with the contract's error object, and says when to come back.
func turnAway(w http.ResponseWriter, e *code.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	answer(w, e.Code.Status(), event.AppendError(nil, e, event.At(timeNow())))
}

func answer(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	if status != http.StatusOK && len(body) > 0 {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the peer may be gone: it will come back
}
