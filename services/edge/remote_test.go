package edge_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/shared/eventually"
)

// The requests of a session over long-polling may reach any edge.
func TestRemotePolling(t *testing.T) {
	t.Parallel()
	w := start(t)
	other := w.another()
	s := w.pollSession("/socket.io/")
	far := s.at(other)
	status, text := far.post(fmt.Sprintf(`40/chat,{"token":%q}`, token("ann", time.Hour)))
	expect(t, "post", []any{status, text}, []any{200, "ok"})
	far.gets(`40/chat,{"sid"`)
	s.post(`42/chat,1["joinRoom",{"roomId":"r"}]`)
	far.gets(`43/chat,1[{"event":"joinedRoom"`)
	for i := range 10 {
		at := []*pollSession{s, far}[i%2]
		at.post(fmt.Sprintf(`42/chat,%d["sendMessage",{"roomId":"r","content":"x"}]`, 100+i))
		var all string
		for !strings.Contains(all, fmt.Sprintf(`"%d.r"]`, i+1)) || !strings.Contains(all, fmt.Sprintf("43/chat,%d[", 100+i)) {
			_, text := []*pollSession{far, s}[i%2].get()
			all += text
		}
	}
	status, text = far.post("abc")
	expect(t, "invalid", []any{status, text}, []any{400, `{"code":3,"message":"Bad request"}`})
	status, text = far.get()
	expect(t, "over", []any{status, text}, []any{400, `{"code":1,"message":"Session ID unknown"}`})
}

// A WebSocket that reaches another edge than its session's is refused, and the session
// continues over long-polling.
func TestRemoteUpgrade(t *testing.T) {
	t.Parallel()
	w := start(t)
	other := w.another()
	s := w.pollSession("/socket.io/")
	if p, status := other.tryEngine("/socket.io/", "EIO=4&transport=websocket&sid="+s.sid); p != nil || status != 400 {
		t.Errorf("upgrade: %d", status)
	}
	s.at(other).post(fmt.Sprintf(`40/chat,{"token":%q}`, token("ann", time.Hour)))
	s.gets(`40/chat,{"sid"`)
}

// A poll that the client abandons at another edge ends the session.
func TestRemotePollAbandoned(t *testing.T) {
	t.Parallel()
	w := start(t)
	other := w.another()
	s := w.pollSession("/socket.io/")
	far := s.at(other)
	far.post(fmt.Sprintf(`40/chat,{"token":%q}`, token("ann", time.Hour)))
	far.gets(`40/chat,{"sid"`)
	eventually.True(t, "the session ends with its poll", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+other.addr+s.url(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := polls.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == 400
	})
}

// When the session's edge dies, another edge answers that the session is unknown.
func TestRemoteOwnerDies(t *testing.T) {
	t.Parallel()
	w := start(t)
	other := w.another()
	s := w.pollSession("/socket.io/")
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	status, text := s.at(other).get()
	expect(t, "poll", []any{status, text}, []any{400, `{"code":1,"message":"Session ID unknown"}`})
}

// BenchmarkPolling measures a request and its reply, a POST and a GET: at the session's
// edge, and at another one.
func BenchmarkPolling(b *testing.B) {
	w := start(b, "LOG_LEVEL=error")
	other := w.another("LOG_LEVEL=error")
	for name, at := range map[string]*world{"here": w, "remote": other} {
		b.Run(name, func(b *testing.B) {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: eventually.Patience()}
			s := w.pollSession("/socket.io/")
			s.post(fmt.Sprintf(`40/chat,{"token":%q}`, token("ann", time.Hour)))
			s.gets(`40/chat,{"sid"`)
			url := "http://" + at.addr + s.url()
			do := func(method, body string) {
				req, err := http.NewRequest(method, url, strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				resp, err := client.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					b.Fatal(resp.Status)
				}
			}
			for b.Loop() {
				do(http.MethodPost, `42/chat,1["heartbeat"]`)
				do(http.MethodGet, "")
			}
		})
	}
}
