// Package web serves plain HTTP on the edge's public port: health and statistics,
// fetched from monitor, and outside production the demo page and its tokens.
package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/services/edge/internal/web/demo"
	"github.com/confab-chat/confab/shared/devtoken"
	"github.com/confab-chat/confab/shared/origin"
)

// monitorWait bounds a request to monitor, which answers from memory.
const monitorWait = 2 * time.Second

// Requester is the part of nats.Conn that the handlers need.
type Requester interface {
	RequestMsgWithContext(ctx context.Context, m *nats.Msg) (*nats.Msg, error)
}

// Options of the pages.
type Options struct {
	NATS    Requester
	Origins origin.List
	Logger  *slog.Logger
	// DevSecret signs the tokens of POST /dev/token. It is nil in production, which
	// switches that path and the demo page off.
	DevSecret []byte
}

// CORS is what pages of allowed origins may do on the public port.
var CORS = origin.CORS{Methods: "GET, POST", Headers: "Authorization, Content-Type", Credentials: true}

// Handler returns the handler of all pages. It may be called concurrently.
func Handler(o Options) http.Handler {
	s := &server{o}
	mux := http.NewServeMux()
	mux.Handle("/websocket/health", CORS.Handler(o.Origins, onlyGet(s.health)))
	mux.Handle("/websocket/stats", CORS.Handler(o.Origins, onlyGet(s.stats)))
	if o.DevSecret == nil {
		mux.HandleFunc("/", s.notFound)
		return mux
	}
	mux.HandleFunc("POST /dev/token", s.token)
	mux.Handle("/", demo.Handler(http.HandlerFunc(s.notFound)))
	return mux
}

type server struct{ o Options }

// unknownHealth is the rest of the body when monitor does not answer. It has all the
// members of monitor's body.
const unknownHealth = `","websocket":{"namespace":null,"corsOrigin":null,"connectedUsers":null,"activeRooms":null,"totalTypingUsers":null},` +
	`"features":{"detailedLogging":null,"metrics":null,"heartbeat":null},` +
	`"rateLimits":{"windowMs":null,"maxMessagesPerWindow":null,"maxJoinsPerWindow":null,"maxTypingEventsPerWindow":null},` +
	`"services":[],"complete":false,"notes":["no monitor answers"]}`

// health returns monitor's health. Without an answer the health is unknown, which
// is reported as unhealthy.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	reply, err := s.askMonitor(r, subject.APIHealth)
	if err != nil {
		s.o.Logger.Debug("monitor does not answer", "event", "http.monitor_failed", "err", err) // debug: clients can cause this at any rate
		answer(w, http.StatusServiceUnavailable, []byte(`{"status":"unhealthy","timestamp":"`+timestamp(time.Now())+unknownHealth))
		return
	}
	forward(w, reply)
}

func (s *server) stats(w http.ResponseWriter, r *http.Request) {
	reply, err := s.askMonitor(r, subject.APIStats)
	if err != nil {
		s.refuse(w, code.New(code.Unavailable, "monitor does not answer"), err)
		return
	}
	forward(w, reply)
}

// askMonitor sends the cursor, if any, and returns monitor's reply.
func (s *server) askMonitor(r *http.Request, subj string) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(r.Context(), monitorWait)
	defer cancel()
	return s.o.NATS.RequestMsgWithContext(ctx, &nats.Msg{Subject: subj, Data: []byte(r.URL.Query().Get("cursor"))})
}

// forward sends monitor's reply to the client: its body, and the HTTP status in its
// header.
func forward(w http.ResponseWriter, m *nats.Msg) {
	status, err := strconv.Atoi(m.Header.Get("Status"))
	if err != nil || status < 200 || status > 599 {
		status = http.StatusOK
	}
	answer(w, status, m.Data)
}

// maxTokenBody bounds the body of POST /dev/token.
const maxTokenBody = 4 << 10

// tokenLife is how long a development token is valid.
const tokenLife = 24 * time.Hour

// token signs a token for any name; development only.
func (s *server) token(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Name string `json:"name"`
	}
	body := http.MaxBytesReader(w, r.Body, maxTokenBody)
	if err := json.NewDecoder(body).Decode(&asked); err != nil {
		s.refuse(w, code.New(code.BadRequest, `send a JSON object like {"name":"Alice"}`), nil)
		return
	}
	name := event.SanitizeName(asked.Name)
	if name == "" {
		s.refuse(w, code.New(code.BadRequest, "name needs at least one visible character"), nil)
		return
	}
	now := time.Now()
	user := userID(name)
	reply, err := json.Marshal(map[string]string{
		"token":  devtoken.Mint(s.o.DevSecret, user, name, now, tokenLife),
		"userId": user, "username": name, "expiresAt": timestamp(now.Add(tokenLife)),
	})
	if err != nil {
		s.refuse(w, code.New(code.Internal, "internal error"), err)
		return
	}
	answer(w, http.StatusOK, reply)
}

// userID derives the user id from a name: lower case, with - for blanks. Letters of
// all scripts are kept.
func userID(name string) string {
	id := strings.ToLower(strings.Join(strings.Fields(name), "-"))
	for !event.ValidUserID(id) && id != "" { // too long in bytes
		_, size := utf8.DecodeLastRuneInString(id)
		id = id[:len(id)-size]
	}
	return id
}

func (s *server) notFound(w http.ResponseWriter, _ *http.Request) {
	s.refuse(w, code.New(code.NotFound, "there is nothing at this path"), nil)
}

// onlyGet refuses methods other than GET and HEAD.
func onlyGet(read http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		read(w, r)
	})
}

// refuse sends the error object of the client contract; cause is only logged.
func (s *server) refuse(w http.ResponseWriter, e *code.Error, cause error) {
	e.Ref = code.NewRef()
	if cause != nil {
		s.o.Logger.Info("request failed", "event", "http.failed", "ref", e.Ref, "err", cause)
	} else {
		s.o.Logger.Debug("request refused", "event", "http.refused", "ref", e.Ref, "err", e)
	}
	answer(w, e.Code.Status(), event.AppendError(nil, e, event.At(time.Now())))
}

func timestamp(t time.Time) string {
	return string(event.AppendTime(nil, t.UnixMilli()))
}

func answer(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the peer may be gone
}
