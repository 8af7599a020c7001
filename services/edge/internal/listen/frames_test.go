package listen_test

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/confab-chat/confab/services/edge/internal/listen"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
	"github.com/confab-chat/confab/shared/eventually"
)

func frame(fin bool, op ws.OpCode, payload string) string {
	return string(conntest.ClientFrame(fin, op, payload))
}

// TestFrames are rows 37 to 47 of the hardening table, bytes in and bytes out.
func TestFrames(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 64<<10)
	cases := []struct {
		name string
		in   string
		want []string // frames; the last one is followed by the end of TCP
	}{
		{"37 unmasked", "\x81\x01x", []string{"8 1002 frame is not masked"}},
		{"38 rsv1", "\xc1\x80\x00\x00\x00\x00", []string{"8 1002 reserved bits set"}},
		{"38 opcode 3", "\x83\x80\x00\x00\x00\x00", []string{"8 1002 reserved opcode"}},
		{"38 opcode b", "\x8b\x80\x00\x00\x00\x00", []string{"8 1002 reserved opcode"}},
		{"39 control frame of 126", "\x89\xfe\x00\x7e\x00\x00\x00\x00", []string{"8 1002 control frame too long"}},
		{"39 fragmented ping", "\x09\x80\x00\x00\x00\x00", []string{"8 1002 fragmented control frame"}},
		{"40 continuation of nothing", frame(true, 0, "x"), []string{"8 1002 continuation without start"}},
		{"40 text inside a message", frame(false, ws.OpText, "a") + text("b"), []string{"8 1002 message inside a message"}},
		{"41 length 2^63-1", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", []string{"8 1009 message too big"}},
		{"41 length with MSB", "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", []string{"8 1002 invalid length"}},
		{"42 limit + 1 in one frame", text(big + "x"), []string{"8 1009 message too big"}},
		{"42 limit + 1 in two", frame(false, ws.OpText, big) + frame(true, 0, "x"), []string{"8 1009 message too big"}},
		{"42 far more than announced", text(big+"x") + strings.Repeat(text(big), 50), []string{"8 1009 message too big"}},
		{"43 65 fragments", frame(false, ws.OpText, "x") + strings.Repeat(frame(false, 0, "x"), 64), []string{"8 1008 too many fragments"}},
		{"43 100 000 empty continuations", frame(false, ws.OpText, "") + strings.Repeat(frame(false, 0, ""), 100000), []string{"8 1008 too many fragments"}},
		{"44 header without body", text("hello")[:6], []string{"8 1008 message unfinished"}},
		{"44 half a header", "\x81", []string{"8 1008 message unfinished"}},
		{"44 no last fragment", frame(false, ws.OpText, "x"), []string{"8 1008 message unfinished"}},
		{"45 invalid utf-8", text("\xff"), []string{"8 1007 invalid utf-8"}},
		{"45 cut at the end", text("\xe2\x82"), []string{"8 1007 invalid utf-8"}},
		{"45 bad over fragments", frame(false, ws.OpText, "\xe2\x82") + frame(false, 0, "x"), []string{"8 1007 invalid utf-8"}},
		{"46 close 999", string(conntest.Close(999, "")), []string{"8 1002 invalid close code"}},
		{"46 close 1005", string(conntest.Close(1005, "")), []string{"8 1002 invalid close code"}},
		{"46 close 1006", string(conntest.Close(1006, "")), []string{"8 1002 invalid close code"}},
		{"46 close 5000", string(conntest.Close(5000, "")), []string{"8 1002 invalid close code"}},
		{"46 one byte", frame(true, ws.OpClose, "x"), []string{"8 1002 invalid close payload"}},
		{"46 bad reason", string(conntest.Close(1000, "\xff")), []string{"8 1007 invalid utf-8"}},
		{"46 good", string(conntest.Close(1000, "bye")), []string{"8 1000 bye"}},
		{"46 empty", frame(true, ws.OpClose, ""), []string{"8 "}},
		{"65 panic", text("panic"), []string{"8 1011 internal error"}},
	}
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		goroutines := runtime.NumGoroutine()
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				cl := f.upgraded("/ws", bearer())
				cl.tb = t
				cl.SetNoDelay(true)
				sent := make(chan struct{})
				go func() { defer close(sent); cl.send(text("before"), c.in) }()
				cl.want("echo", "1 Alice: before")
				for _, w := range c.want {
					cl.want("frame", w)
				}
				if _, err := cl.r.ReadByte(); err == nil || isTimeout(err) {
					t.Errorf("after the close frame: %v", err)
				}
				cl.Close()
				<-sent
			})
		}
		eventually.True(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines+20 || mode == poll.Goroutine })
	})
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// TestFramesAllowed are the good halves of these rows.
func TestFramesAllowed(t *testing.T) {
	t.Parallel()
	limit := strings.Repeat("x", 64<<10)
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		c := f.upgraded("/ws", bearer())
		c.send(text(limit)).want("42 exactly the limit", "1 Alice: "+limit)
		c.send(frame(false, ws.OpText, limit[1:]), frame(true, 0, "x")).want("42 the limit in two", "1 Alice: "+limit)
		c.send(frame(false, ws.OpText, ""), strings.Repeat(frame(false, 0, ""), 62), frame(true, 0, "end")).want("43 64 fragments", "1 Alice: end")
		c.send(frame(true, ws.OpPing, "p")).want("ping", "10 p")
		c.send(frame(false, ws.OpText, "a"), frame(true, ws.OpPing, ""), frame(true, 0, "b"))
		c.want("ping inside a message", "10 ")
		c.want("the message", "1 Alice: ab")
		c.send(strings.Repeat(frame(true, ws.OpPong, "x"), 1000), text("alive")).want("47 unsolicited pongs", "1 Alice: alive")
		for range 3 {
			for _, b := range []byte(text("byte by byte")) {
				c.Write([]byte{b})
			}
			c.want("byte by byte", "1 Alice: byte by byte")
		}
	})
}

// TestPingFlood is row 47.
func TestPingFlood(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		c := f.upgraded("/ws", bearer())
		c.send(strings.Repeat(frame(true, ws.OpPing, ""), 1000))
		var pongs int
		last := c.frame()
		for ; last == "10 "; last = c.frame() {
			pongs++
		}
		if last != "8 1008 too many pings" || pongs > 20 {
			t.Errorf("%d pongs, then %q", pongs, last)
		}
	})
}

// TestConformance checks the endpoint for conformance suites: large messages, any
// number of pings, and TCP closed by us.
func TestConformance(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 1<<20) // 16 MiB, as in the suites
	if raceEnabled {
		big = big[:2<<20] // copying 16 MiB takes it 10 s on a busy machine, and races do not depend on the size
	}
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		c := f.upgraded("/conformance/echo")
		go c.send(frame(true, ws.OpBinary, big))
		if got := c.frame(); got != "2 "+big {
			t.Errorf("%d bytes came back as %d", len(big), len(got))
		}
		c.send(frame(false, ws.OpText, "") + strings.Repeat(frame(false, 0, "κό"), 20000) + frame(true, 0, ""))
		if got := c.frame(); got != "1 "+strings.Repeat("κό", 20000) {
			t.Errorf("fragments came back as %d bytes", len(got))
		}
		for range 100 {
			c.send(strings.Repeat(frame(true, ws.OpPing, "x"), 10))
			for range 10 {
				c.want("pong", "10 x")
			}
		}
		c.send(string(conntest.Close(4321, "reason"))).want("close", "8 4321 closed")
		c.wantClosed()
	})
}

// TestSlowConsumer: a client that does not read is given up, and its
// neighbours do not notice.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, func(o *listen.Options) { o.Routes[0].Conn.QueueBytes = 64 << 10 })
		slow, other := f.upgraded("/ws", bearer()), f.upgraded("/ws", bearer())
		slow.SetReadBuffer(4 << 10)
		payload := text(strings.Repeat("z", 60000))
		go func() {
			for range 1000 {
				if _, err := slow.Write([]byte(payload)); err != nil {
					return
				}
			}
		}()
		eventually.True(t, "the slow client is counted", func() bool { return slowConns(f) == 1 })
		other.send(text("hi")).want("the other", "1 Alice: hi")
		eventually.True(t, "the conn is closed", func() bool { return closedConns(f) == 1 })
	})
}

func slowConns(f *fixture) (n uint64) {
	for _, s := range f.server.ConnStats() {
		n += s.Slow.Load()
	}
	return n
}

// TestHalfClose: a client that closes its write side is gone.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, nil)
		c := f.upgraded("/ws", bearer())
		c.send(text("last"))
		c.CloseWrite()
		c.want("echo", "1 Alice: last")
		if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil {
			t.Errorf("then %q, %v", b, err)
		}
		eventually.True(t, "the conn is closed", func() bool { return closedConns(f) == 1 })
	})
}

// TestHeartbeat over real time: pings come, and silence ends it.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, mode poll.Mode) {
		f := start(t, mode, func(o *listen.Options) { o.Routes[0].Conn.Heartbeat = time.Second })
		c := f.upgraded("/ws", bearer())
		for range 3 {
			c.want("ping", "9 ")
			c.send(frame(true, ws.OpPong, ""))
		}
		last := c.frame()
		for last == "9 " {
			last = c.frame()
		}
		if last != "8 4002 heartbeat timeout" {
			t.Errorf("silence ended with %q", last)
		}
	})
}
