package engine_test

import (
	"testing"
	"time"
)

// The upgrade of the protocol document: probe, noop packet, upgrade packet. Nothing that
// was queued is lost, and what follows comes over the WebSocket.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	run(t, func(f *fixture) {
		s := f.open()
		waiting := s.get()
		w := f.connect("&sid=" + s.sid)
		f.want("before the probe", w.received()+waiting.answer(), "waits")
		w.say("2probe")
		f.want("probe", w.received(), "3probe")
		f.want("the waiting poll", waiting.answer(), "200 6")
		f.want("the next poll", s.get().answer(), "200 6")
		f.emit("one")
		f.emit("two")
		f.socket.NotifyDrained()
		f.want("before the upgrade", w.received()+f.called(), "")
		w.say("5")
		f.want("queued messages", w.received(), "4one 4two")
		f.want("drained", f.called(), "drained")
		w.say("4three")
		f.want("received", f.called(), "text:three")
		f.emit("four")
		f.want("sent", w.received(), "4four")
		f.want("poll afterwards", s.get().answer(), unknownSession)
		if _, err := f.tryConnect("&sid=" + s.sid); err == nil {
			t.Error("the session was upgraded twice")
		}
		f.pass(pingInterval)
		f.want("ping", w.received(), "2")
		w.wire.Lose(nil)
		f.turn()
		f.want("lost", f.called(), "closed:lost,1006")
	})
}

// A poll that carries the last message before the upgrade ends with that message.
func TestUpgradeWithPollAndPost(t *testing.T) {
	t.Parallel()
	run(t, func(f *fixture) {
		s := f.open()
		w := f.connect("&sid=" + s.sid)
		f.pause = true
		paused := s.post("4one\x1e4two")
		w.say("2probe", "5")
		f.want("probe", w.received(), "3probe")
		f.want("post", paused.answer(), "200 ok")
		f.want("delivered", f.called(), "text:one")
		f.socket.ResumeReads()
		f.turn()
		w.say("4three")
		f.want("received", f.called(), "text:three")
	})
}

// A probe that fails is closed, and the session continues over long-polling.
func TestProbeFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*fixture, *webSocket){
		"upgrade without probe": func(_ *fixture, w *webSocket) { w.say("5") },
		"message":               func(_ *fixture, w *webSocket) { w.say("4x") },
		"ping without data":     func(_ *fixture, w *webSocket) { w.say("2") },
		"message after probe":   func(_ *fixture, w *webSocket) { w.say("2probe", "4x") },
		"too late":              func(f *fixture, w *webSocket) { w.say("2probe"); f.pass(12 * time.Second) },
		"lost":                  func(f *fixture, w *webSocket) { w.say("2probe"); w.wire.Lose(nil); f.turn() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(f *fixture) {
				s := f.open()
				w := f.connect("&sid=" + s.sid)
				fail(f, w)
				if got := w.received(); name != "lost" && got != "close 1008" && got != "3probe close 1008" {
					t.Errorf("probe: %s", got)
				}
				waiting := s.get()
				f.want("poll", waiting.answer(), "waits")
				f.emit("one")
				f.want("message", waiting.answer(), "200 4one")
				f.want("calls", f.called(), "")
				again := f.connect("&sid=" + s.sid)
				again.say("2probe", "5", "4two")
				f.want("another probe", f.called(), "text:two")
			})
		})
	}
}

func TestRefusedProbes(t *testing.T) {
	t.Parallel()
	run(t, func(f *fixture) {
		s := f.open()
		refused := func(what, query, want string) {
			t.Helper()
			if _, err := f.server.Gate(f.loop, query, ""); err == nil || err.Error() != want {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("unknown session", "EIO=4&transport=websocket&sid=x", "engine.io: Session ID unknown")
		refused("other version", "EIO=3&transport=websocket&sid="+s.sid, "engine.io: Unsupported protocol version")
		refused("other transport", "EIO=4&transport=polling&sid="+s.sid, "engine.io: Bad request")
		refused("unknown transport", "EIO=4&transport=abc", "engine.io: Transport unknown")
		refused("bad query", "%zz", "engine.io: Bad request")
		f.connect("&sid=" + s.sid)
		refused("second probe", "EIO=4&transport=websocket&sid="+s.sid, "engine.io: Bad request")
		if f.server.Home("EIO=4&transport=websocket&sid="+s.sid) != f.loop || f.server.Home("EIO=4&transport=websocket") != nil {
			t.Error("Home does not return the session's loop")
		}
	})
}

// The session ends while a WebSocket is being probed.
func TestEndsWhileProbed(t *testing.T) {
	t.Parallel()
	run(t, func(f *fixture) {
		s := f.open()
		w := f.connect("&sid=" + s.sid)
		w.say("2probe")
		s.post("1")
		f.want("probe", w.received(), "3probe close 1000")
		f.want("calls", f.called(), "closed:clean,1000")
	})
}
