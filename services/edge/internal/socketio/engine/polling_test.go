package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

const unknownSession = `400 {"code":1,"message":"Session ID unknown"}`

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	run(t, func(f *fixture) {
		for request, want := range map[string]string{
			"GET EIO=4":                               `400 {"code":0,"message":"Transport unknown"}`,
			"GET EIO=4&transport=abc":                 `400 {"code":0,"message":"Transport unknown"}`,
			"GET transport=polling":                   `400 {"code":5,"message":"Unsupported protocol version"}`,
			"GET EIO=3&transport=polling":             `400 {"code":5,"message":"Unsupported protocol version"}`,
			"POST EIO=4&transport=polling":            `400 {"code":2,"message":"Bad handshake method"}`,
			"GET EIO=4&transport=websocket":           `400 {"code":3,"message":"Bad request"}`,
			"GET EIO=4&transport=polling&x=%zz":       `400 {"code":3,"message":"Bad request"}`,
			"DELETE EIO=4&transport=polling&sid=none": `400 {"code":3,"message":"Bad request"}`,
			"GET EIO=4&transport=polling&sid=none":    unknownSession,
			"POST EIO=4&transport=polling&sid=none":   unknownSession,
		} {
			method, query, _ := strings.Cut(request, " ")
			f.want(request, f.send(method, query, "").answer(), want)
		}
		foreign := f.send("GET", queryPolling, "", "Origin", "https://evil.example.com")
		f.want("foreign origin", foreign.answer(), `403 {"code":4,"message":"Forbidden"}`)
		s := f.open()
		json := f.send("POST", s.query(), "4x", "Content-Type", "application/json")
		f.want("type of the body", json.answer(), `415 {"code":3,"message":"Bad request"}`)
		f.want("long body", s.post(strings.Repeat("4", maxPayload+1)).answer(), "413 ")
		f.want("full body", s.post("4"+strings.Repeat("x", maxPayload-1)).answer(), "200 ok")
		f.want("not UTF-8", s.post("4\xff").answer(), `400 {"code":3,"message":"Bad request"}`)
	})
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	run(t, func(f *fixture) {
		const timing = `"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}`
		text := f.send("GET", queryPolling, "").answer()
		if !strings.HasPrefix(text, `200 0{"sid":"`) || !strings.HasSuffix(text, `","upgrades":["websocket"],`+timing) {
			t.Errorf("over long-polling: %s", text)
		}
		text = f.connect("").received()
		if !strings.HasPrefix(text, `0{"sid":"`) || !strings.HasSuffix(text, `","upgrades":[],`+timing) {
			t.Errorf("over a WebSocket: %s", text)
		}
		f.want("calls", f.called(), "opened opened")
	})
}

func TestPoll(t *testing.T) {
	t.Parallel()
	run(t, func(f *fixture) {
		s := f.open()
		waiting := s.get()
		f.want("nothing to send", waiting.answer(), "waits")
		f.emit("one")
		f.want("one message", waiting.answer(), "200 4one")
		f.emit("two")
		f.socket.Send(ws.AppendFrame(nil, ws.OpBinary, []byte{1, 2, 3}), conn.Reply)
		f.emit("three")
		f.want("queued messages", s.get().answer(), "200 4two\x1ebAQID\x1e4three")
		f.socket.NotifyDrained()
		f.turn()
		f.want("nothing is queued", f.called(), "drained")
		f.emit("four")
		f.socket.NotifyDrained()
		f.turn()
		f.want("a message is queued", f.called(), "")
		s.get()
		f.want("it was sent", f.called(), "drained")
	})
}

func TestPost(t *testing.T) {
	t.Parallel()
	run(t, func(f *fixture) {
		s := f.open()
		f.want("post", s.post("4one\x1ebAQID\x1e3\x1e6\x1e4").answer(), "200 ok")
		f.want("delivered", f.called(), "text:one binary:\x01\x02\x03 text:")

		f.pause = true
		paused := s.post("4two\x1e4three\x1e4four")
		f.want("reads are paused", f.called(), "text:two")
		f.want("post", paused.answer(), "waits")
		f.pause = true
		f.socket.ResumeReads()
		f.turn()
		f.want("paused again", f.called(), "text:three")
		f.socket.ResumeReads()
		f.turn()
		f.want("reads are resumed", f.called(), "text:four")
		f.want("post", paused.answer(), "200 ok")
	})
}

// What ends a session: what its client sends, the answers, and the cause.
func TestEnds(t *testing.T) {
	t.Parallel()
	const badRequest = `400 {"code":3,"message":"Bad request"}`
	for name, c := range map[string]struct {
		end   func(f *fixture, s *session) (answers []*request)
		want  []string
		cause string
	}{
		"close packet": {
			func(_ *fixture, s *session) []*request { return []*request{s.get(), s.post("1")} },
			[]string{"200 6", "200 ok"}, "closed:clean,1000",
		},
		"two polls": {
			func(_ *fixture, s *session) []*request { return []*request{s.get(), s.get()} },
			[]string{"200 1", badRequest}, "closed:ours,1008",
		},
		"two posts": {
			func(f *fixture, s *session) []*request {
				f.pause = true
				return []*request{s.post("4a\x1e4b"), s.post("4c"), s.get()}
			},
			[]string{"200 ok", badRequest, "200 1"}, "text:a closed:ours,1008",
		},
		"invalid payload": {
			func(_ *fixture, s *session) []*request { return []*request{s.get(), s.post("4a\x1e9")} },
			[]string{"200 1", badRequest}, "closed:ours,1002",
		},
		"unexpected packet": {
			func(_ *fixture, s *session) []*request { return []*request{s.get(), s.post("5\x1e4a")} },
			[]string{"200 1", "200 ok"}, "closed:ours,1008",
		},
		"abandoned poll": {
			func(f *fixture, s *session) []*request {
				s.get().abandon()
				f.turn()
				return nil
			},
			nil, "closed:lost,1006",
		},
		"closed by the server": {
			func(f *fixture, s *session) []*request {
				waiting := s.get()
				f.emit("last")
				f.want("message", waiting.answer(), "200 4last")
				f.socket.Close(code.CloseRestart, "")
				f.turn()
				return []*request{s.get()}
			},
			[]string{"200 1"}, "closed:ours,1012",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(f *fixture) {
				s := f.open()
				for i, r := range c.end(f, s) {
					f.want(fmt.Sprint("answer ", i), r.answer(), c.want[i])
				}
				f.want("calls", f.called(), c.cause)
				f.want("poll afterwards", s.get().answer(), unknownSession)
				f.want("post afterwards", s.post("4x").answer(), unknownSession)
			})
		})
	}
}

// A GET and the end of the session reach the loop in the same turn, in both orders. The
// GET is answered, and the handler is notified once.
func TestPollRacesWithClose(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end         func(f *fixture, s *session)
		pollIsFirst string // the answer
		endIsFirst  string
		cause       string
	}{
		"left by the client": {
			func(f *fixture, s *session) { f.start("POST", s.query(), "1") },
			"200 6", unknownSession, "closed:clean,1000",
		},
		"closed by the server": {
			func(f *fixture, _ *session) { f.loop.Post(func() { f.socket.Close(code.CloseRestart, "") }) },
			"200 1", "200 1", "closed:ours,1012",
		},
		"aborted by the server": {
			func(f *fixture, _ *session) { f.loop.Post(func() { f.socket.Abort(code.CloseRestart) }) },
			"200 1", unknownSession, "closed:ours,1012",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(f *fixture) {
				s := f.open()
				waiting := f.start("GET", s.query(), "")
				synctest.Wait()
				c.end(f, s)
				f.turn()
				f.want("the poll is first", waiting.answer(), c.pollIsFirst)
				f.want("calls", f.called(), c.cause)

				s = f.open()
				c.end(f, s)
				synctest.Wait()
				waiting = f.start("GET", s.query(), "")
				f.turn()
				f.want("the end is first", waiting.answer(), c.endIsFirst)
				f.want("calls", f.called(), c.cause)
			})
		})
	}
}

// A GET that comes after the ping timeout finds no session, even when it reaches the loop
// before the alarm.
func TestPollAfterTimeout(t *testing.T) {
	t.Parallel()
	run(t, func(f *fixture) {
		s := f.open()
		f.pass(pingInterval)
		f.now = f.now.Add(pingTimeout)
		f.want("poll", s.get().answer(), unknownSession)
		f.want("calls", f.called(), "closed:ours,4002")
	})
}
