// Package web is what the edge's public port answers to plain HTTP: health and
// statistics, fetched from the monitor, and outside production the demo page with
// its tokens.
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

// monitorWait is how long the monitor may take; it answers from memory.
const monitorWait = 2 * time.Second

// Asker is the part of nats.Conn that is needed.
type Asker interface {
	RequestMsgWithContext(ctx context.Context, m *nats.Msg) (*nats.Msg, error)
}

// Options of the site.
type Options struct {
	NATS    Asker
	Origins origin.List
	Logger  *slog.Logger
	// DevSecret signs the tokens of POST /dev/token. Nil in production: then that
	// and the demo page are not there.
	DevSecret []byte
}

// Handler answers. It may be called concurrently.
func Handler(o Options) http.Handler {
	s := &site{o}
	mux := http.NewServeMux()
	cors := origin.CORS{Methods: "GET, POST", Headers: "Authorization, Content-Type", Credentials: true}
	mux.Handle("/websocket/health", cors.Handler(o.Origins, onlyGet(s.health)))
	mux.Handle("/websocket/stats", cors.Handler(o.Origins, onlyGet(s.stats)))
	if o.DevSecret == nil {
		mux.HandleFunc("/", s.notFound)
		return mux
	}
	mux.HandleFunc("POST /dev/token", s.token)
	mux.Handle("/", demo.Handler(http.HandlerFunc(s.notFound)))
	return mux
}

type site struct{ o Options }

// unknownHealth is the rest of the body when nobody knows: the members that clients
// read are there, as they are in the monitor's.
const unknownHealth = `","websocket":{"namespace":null,"corsOrigin":null,"connectedUsers":null,"activeRooms":null,"totalTypingUsers":null},` +
	`"features":{"detailedLogging":null,"metrics":null,"heartbeat":null},` +
	`"rateLimits":{"windowMs":null,"maxMessagesPerWindow":null,"maxJoinsPerWindow":null,"maxTypingEventsPerWindow":null},` +
	`"services":[],"complete":false,"notes":["no monitor answers"]}`

// health is the monitor's; without one nobody knows, and that is unhealthy.
func (s *site) health(w http.ResponseWriter, r *http.Request) {
	reply, err := s.ask(r, subject.APIHealth)
	if err != nil {
		s.o.Logger.Debug("no health from the monitor", "event", "http.monitor", "err", err) // anybody can ask, often
		answer(w, http.StatusServiceUnavailable, []byte(`{"status":"unhealthy","timestamp":"`+timestamp(time.Now())+unknownHealth))
		return
	}
	pass(w, reply)
}

func (s *site) stats(w http.ResponseWriter, r *http.Request) {
	reply, err := s.ask(r, subject.APIStats)
	if err != nil {
		s.refuse(w, code.New(code.Unavailable, "the monitor does not answer"), err)
		return
	}
	pass(w, reply)
}

// ask sends the cursor, if there is one, and returns the monitor's reply.
func (s *site) ask(r *http.Request, subj string) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(r.Context(), monitorWait)
	defer cancel()
	return s.o.NATS.RequestMsgWithContext(ctx, &nats.Msg{Subject: subj, Data: []byte(r.URL.Query().Get("cursor"))})
}

// pass hands the monitor's answer on: its body, and the HTTP status of its header.
func pass(w http.ResponseWriter, m *nats.Msg) {
	status, err := strconv.Atoi(m.Header.Get("Status"))
	if err != nil || status < 200 || status > 599 {
		status = http.StatusOK
	}
	answer(w, status, m.Data)
}

// maxTokenBody bounds the body of POST /dev/token.
const maxTokenBody = 4 << 10

// tokenLife is how long a development token is good.
const tokenLife = 24 * time.Hour

// token signs whoever asks in under the name they give: development only.
func (s *site) token(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Name string `json:"name"`
	}
	body := http.MaxBytesReader(w, r.Body, maxTokenBody)
	if err := json.NewDecoder(body).Decode(&asked); err != nil {
		s.refuse(w, code.New(code.BadRequest, `a JSON object like {"name":"Alice"} is wanted`), nil)
		return
	}
	name := event.SanitizeName(asked.Name)
	if name == "" {
		s.refuse(w, code.New(code.BadRequest, "a name with at least one visible character is wanted"), nil)
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

// userID makes the same id of the same name: lower case, with - for what does not
// belong into one. Names of other scripts keep their letters.
func userID(name string) string {
	id := strings.ToLower(strings.Join(strings.Fields(name), "-"))
	for !event.ValidUserID(id) && id != "" { // too long in bytes
		_, size := utf8.DecodeLastRuneInString(id)
		id = id[:len(id)-size]
	}
	return id
}

func (s *site) notFound(w http.ResponseWriter, _ *http.Request) {
	s.refuse(w, code.New(code.NotFound, "there is nothing here"), nil)
}

// onlyGet refuses other methods where there is something to read.
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

// refuse answers with the error object of the contract; cause stays in the log.
func (s *site) refuse(w http.ResponseWriter, e *code.Error, cause error) {
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
