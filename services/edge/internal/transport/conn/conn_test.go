package conn_test

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	f := start(t, conn.Options{})
	f.onOpened = func() { f.conn.Send([]byte("+welcome"), conn.Reply) }
	f.onMessage = func(string) { f.conn.Send([]byte("+answer"), conn.Reply) }
	f.factory.Open(f.wire, f, []byte("101"), conntest.Text("early"))
	f.turn()
	f.want("handled", f.said(), "opened; 1 early")
	f.want("written", string(f.wire.Take()), "101+welcome+answer")
	if f.wire.Writes != 1 {
		t.Errorf("%d writes, want 1", f.wire.Writes)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	f.receive(conntest.Text("a"), conntest.ClientFrame(true, ws.OpBinary, "b"), conntest.Text("c")[:4])
	f.receive(conntest.Text("c")[4:])
	f.want("handled", f.said(), "opened; 1 a; 2 b; 1 c")
}

// TestSendOrder wants everything of a turn in one write, in order.
func TestSendOrder(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	for _, s := range []string{"a", "b", "c", "d", "e", "f"} {
		if !f.conn.Send(text(s), conn.Message) {
			t.Fatal("refused")
		}
	}
	f.turn()
	f.want("written", f.wrote(), "1:a 1:b 1:c 1:d 1:e 1:f")
	if f.wire.Writes != 1 {
		t.Errorf("%d writes, want 1", f.wire.Writes)
	}
}

// TestPartialWrites wants no byte lost or doubled whatever the socket takes.
func TestPartialWrites(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	f := opened(t, conn.Options{})
	f.wire.Room = 0
	for i := range 200 {
		s := fmt.Sprintf("message %d ", i) + strings.Repeat("x", i*7%300)
		want.Write(text(s))
		f.conn.Send(text(s), conn.Message)
	}
	f.turn()
	for n := 1; f.conn.Queued() > 0; n = n*7%501 + 1 {
		f.wire.Drain(n)
		f.turn()
	}
	if got := string(f.wire.Take()); got != want.String() {
		t.Error("the stream is not what was sent")
	}
}

func TestOverflow(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 100)
	for _, c := range []struct {
		name  string
		sends func(f *fixture) (last bool)
		last  bool
		want  string
		stats [3]uint64 // typing, presence, slow
	}{
		{"typing makes room for a message", func(f *fixture) bool {
			f.conn.Send(text("t"+big), conn.Typing)
			f.conn.Send(text("p"+big), conn.Presence)
			return f.conn.Send(text("m"+big+big), conn.Message)
		}, true, "1:head 1:p" + big + " 1:m" + big + big, [3]uint64{1, 0, 0}},
		{"then presence", func(f *fixture) bool {
			f.conn.Send(text("t"+big), conn.Typing)
			f.conn.Send(text("p"+big), conn.Presence)
			return f.conn.Send(text("m"+big+big+big), conn.Message)
		}, true, "1:head 1:m" + big + big + big, [3]uint64{1, 1, 0}},
		{"typing itself is dropped", func(f *fixture) bool {
			f.conn.Send(text("m"+big+big+big), conn.Message)
			return f.conn.Send(text("t"+big), conn.Typing)
		}, false, "1:head 1:m" + big + big + big, [3]uint64{1, 0, 0}},
		{"presence itself is dropped", func(f *fixture) bool {
			f.conn.Send(text("m"+big+big+big), conn.Message)
			return f.conn.Send(text("p"+big), conn.Presence)
		}, false, "1:head 1:m" + big + big + big, [3]uint64{0, 1, 0}},
		{"a message that does not fit ends it", func(f *fixture) bool {
			f.conn.Send(text("m"+big+big+big), conn.Message)
			return f.conn.Send(text("n"+big), conn.Message)
		}, false, "1:head close 4000 slow consumer", [3]uint64{0, 0, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := opened(t, conn.Options{QueueBytes: 350})
			f.wire.Room = 3
			f.conn.Send(text("head"), conn.Typing) // partly written: stays
			f.turn()
			if got := c.sends(f); got != c.last {
				t.Errorf("last Send returned %v", got)
			}
			f.wire.Drain(-1)
			f.turn()
			f.want("written", f.wrote(), c.want)
			got := [3]uint64{f.stats.DroppedTyping.Load(), f.stats.DroppedPresence.Load(), f.stats.Slow.Load()}
			if got != c.stats {
				t.Errorf("dropped %v, want %v", got, c.stats)
			}
		})
	}
}

// TestOversized: one payload over the cap may wait alone (a page of history).
func TestOversized(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{QueueBytes: 100})
	if !f.conn.Send(text(strings.Repeat("x", 500)), conn.Reply) {
		t.Error("refused")
	}
}

// TestOverflowWritesFirst: nothing is dropped while the socket accepts bytes.
func TestOverflowWritesFirst(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{QueueBytes: 100})
	for range 50 {
		if !f.conn.Send(text(strings.Repeat("x", 60)), conn.Message) {
			t.Fatal("refused although the client reads")
		}
	}
}

func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{QueueBytes: 50})
	f.said()
	f.wire.Room = 1
	f.conn.Send(text("head"), conn.Message)
	f.turn()
	for f.conn.Send(text("more"), conn.Message) {
	}
	f.turn()
	f.want("handled at once", f.said(), "")
	f.pass(4 * time.Second)
	f.want("handled", f.said(), "closed ours 4000")
	if !f.wire.Aborted {
		t.Error("not reset")
	}
}

func TestStalled(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	f.said()
	f.wire.Room = 1
	f.conn.Send(text("some bytes"), conn.Message)
	f.turn()
	f.pass(7 * time.Second)
	f.wire.Drain(1) // progress
	f.pass(7 * time.Second)
	f.want("handled while it drains", f.said(), "")
	f.pass(5 * time.Second)
	f.want("handled", f.said(), "closed ours 4000")
	if !f.wire.Aborted || f.stats.Slow.Load() != 1 {
		t.Errorf("aborted %v, slow %d", f.wire.Aborted, f.stats.Slow.Load())
	}
}

func TestCloseByPeer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, written, handled string
		frame                  []byte
	}{
		{"normal", "close 1000 bye", "closed clean 1000", conntest.Close(1000, "x")},
		{"going away", "close 1001 going away", "closed clean 1001", conntest.Close(1001, "")},
		{"of its own", "close 4321 closed", "closed lost 4321", conntest.Close(4321, "")},
		{"without code", "8:", "closed lost 1005", conntest.ClientFrame(true, ws.OpClose, "")},
		{"code 999", "close 1002 invalid close code", "closed ours 1002", conntest.Close(999, "")},
		{"code 1005", "close 1002 invalid close code", "closed ours 1002", conntest.Close(1005, "")},
		{"code 1006", "close 1002 invalid close code", "closed ours 1002", conntest.Close(1006, "")},
		{"code 5000", "close 1002 invalid close code", "closed ours 1002", conntest.Close(5000, "")},
		{"one byte", "close 1002 invalid close payload", "closed ours 1002", conntest.ClientFrame(true, ws.OpClose, "x")},
		{"bad reason", "close 1007 invalid utf-8", "closed ours 1007", conntest.Close(1000, "\xff")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := opened(t, conn.Options{})
			f.said()
			f.receive(c.frame, conntest.Text("too late"))
			f.want("written", f.wrote(), c.written)
			f.want("handled", f.said(), c.handled)
			if !f.wire.Closed && !f.wire.WriteEnded {
				t.Error("TCP was not closed")
			}
		})
	}
}

// TestCloseByPeerBehindWork: what was answered before the peer's close frame
// is written before the answer.
func TestCloseByPeerBehindWork(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	f.onMessage = func(s string) { f.conn.Send(text("re: "+s), conn.Reply) }
	f.receive(conntest.Text("a"), conntest.Close(1000, ""))
	f.want("written", f.wrote(), "1:re: a close 1000 bye")
	f.want("handled", f.said(), "opened; 1 a; closed clean 1000")
}

func TestCloseByUs(t *testing.T) {
	t.Parallel()
	t.Run("answered", func(t *testing.T) {
		t.Parallel()
		f := opened(t, conn.Options{})
		f.said()
		f.conn.Send(text("last"), conn.Message)
		f.conn.Close(code.CloseRestart, "")
		if f.conn.Send(text("too late"), conn.Message) {
			t.Error("Send accepted after Close")
		}
		f.turn()
		f.want("written", f.wrote(), "1:last close 1012 restart")
		f.receive(conntest.Text("not for the handler"))
		f.want("handled before the answer", f.said(), "")
		f.receive(conntest.Close(1012, ""))
		f.want("handled", f.said(), "closed ours 1012")
		if !f.wire.Closed || f.wire.Aborted {
			t.Error("TCP was not closed in order")
		}
	})
	t.Run("never answered", func(t *testing.T) {
		t.Parallel()
		f := opened(t, conn.Options{})
		f.said()
		f.conn.Close(code.CloseInvalidToken, "bad token")
		f.pass(4 * time.Second)
		f.want("written", f.wrote(), "close 4500 bad token")
		f.want("handled", f.said(), "closed ours 4500")
		if !f.wire.Closed {
			t.Error("TCP was not closed")
		}
	})
	t.Run("inside a message", func(t *testing.T) {
		t.Parallel()
		f := opened(t, conn.Options{})
		f.said()
		f.onMessage = func(string) { f.conn.Close(code.CloseProtocolAbuse, "") }
		f.receive(conntest.Text("a"), conntest.Text("b"))
		f.want("handled", f.said(), "1 a")
		f.want("written", f.wrote(), "close 4503 protocol abuse")
	})
	t.Run("while paused", func(t *testing.T) {
		t.Parallel()
		f := opened(t, conn.Options{})
		f.said()
		f.onMessage = func(string) { f.conn.PauseReads() }
		f.receive(conntest.Text("a"), conntest.Text("b"), conntest.Close(1000, ""))
		f.conn.Close(code.CloseRestart, "")
		f.turn()
		f.want("handled", f.said(), "1 a; closed ours 1012")
	})
	t.Run("abort inside a message", func(t *testing.T) {
		t.Parallel()
		f := opened(t, conn.Options{})
		f.said()
		f.onMessage = func(string) { f.conn.Abort(code.CloseRevoked) }
		f.receive(conntest.Text("a"), conntest.Text("b"))
		f.want("handled", f.said(), "1 a; closed ours 4502")
		if !f.wire.Aborted {
			t.Error("not reset")
		}
	})
	t.Run("abort inside a fragmented message, by a ping flood", func(t *testing.T) {
		t.Parallel()
		f := opened(t, conn.Options{PingRate: 1})
		f.said()
		ping := conntest.ClientFrame(true, ws.OpPing, "")
		f.receive(conntest.ClientFrame(false, ws.OpText, "a"), ping, ping, conntest.ClientFrame(true, 0, "b"))
		f.want("handled", f.said(), "closed ours 1008")
	})
}

func TestLost(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	f.said()
	f.receive(conntest.Text("abc")[:5])
	f.wire.Lose(io.EOF)
	f.turn()
	f.want("handled", f.said(), "closed lost 1006 (EOF)")
	if f.conn.Send(text("x"), conn.Reply) {
		t.Error("Send accepted on a lost connection")
	}
	f.conn.Close(code.CloseNormal, "")
	f.conn.Abort(code.CloseNormal)
	f.conn.PauseReads()
	f.conn.ResumeReads()
	f.turn()
	f.want("handled later", f.said(), "")
	if n := f.stats.Open.Load(); n != 0 {
		t.Errorf("%d connections counted as open", n)
	}
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	f.said()
	f.wire.WriteErr = errors.New("broken pipe")
	f.conn.Send(text("x"), conn.Message)
	f.want("called inside Send", f.said(), "")
	f.turn()
	f.want("handled", f.said(), "closed lost 1006 (broken pipe)")
}

func TestViolation(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	f.said()
	f.receive([]byte{0x81, 0x01, 'x'}) // unmasked
	f.want("written", f.wrote(), "close 1002 frame is not masked")
	f.want("handled", f.said(), "closed ours 1002")
	if !f.wire.WriteEnded || f.wire.Closed {
		t.Error("the transport should linger, so that the reason arrives")
	}
	f.pass(4 * time.Second)
	if !f.wire.Aborted {
		t.Error("lingers for ever")
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	f.said()
	f.onMessage = func(string) { panic("bug") }
	f.receive(conntest.Text("a"), conntest.Text("b"))
	f.want("written", f.wrote(), "close 1011 internal error")
	f.want("handled", f.said(), "1 a; closed ours 1011")
	if f.stats.Panics.Load() != 1 {
		t.Error("not counted")
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	f.said()
	f.onMessage = func(s string) {
		if s != "c" {
			f.conn.PauseReads()
		}
	}
	f.receive(conntest.Text("a"), conntest.Text("b"), conntest.Text("c"), conntest.Text("d")[:3])
	f.want("handled", f.said(), "1 a")
	if !f.wire.Paused {
		t.Error("the transport still reads")
	}
	f.pass(5 * time.Minute) // deaf, not dead
	f.said()
	f.conn.ResumeReads()
	f.want("called inside ResumeReads", f.said(), "")
	f.turn()
	f.want("handled", f.said(), "1 b")
	f.conn.ResumeReads()
	f.turn()
	f.want("handled", f.said(), "1 c")
	f.receive(conntest.Text("d")[3:])
	f.want("handled", f.said(), "1 d")
}

func TestDrained(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	f.said()
	f.conn.NotifyDrained()
	f.want("handled inside", f.said(), "")
	f.turn()
	f.want("handled", f.said(), "drained")

	f.wire.Room = 1
	f.conn.Send(text("some"), conn.Message)
	f.conn.NotifyDrained()
	f.turn()
	f.want("handled while bytes wait", f.said(), "")
	var more int
	f.onDrained = func() {
		if more++; more < 3 {
			f.conn.Send(text("more"), conn.Message)
			f.conn.NotifyDrained()
		}
	}
	f.wire.Drain(-1)
	f.turn()
	f.want("handled", f.said(), "drained; drained; drained")
}

func TestIdleSize(t *testing.T) {
	t.Parallel()
	const target = 200 // bytes, with the epoll transport beside it
	const transport = 48
	if n := unsafe.Sizeof(conn.Conn{}); n+transport > target {
		t.Errorf("a connection takes %d bytes and its transport %d", n, transport)
	} else {
		t.Logf("%d + %d bytes", n, transport)
	}
}

// A connection takes over the unwritten queue of another on the same loop; the old
// one ends with a cause.
func TestReplace(t *testing.T) {
	t.Parallel()
	old := opened(t, conn.Options{})
	old.wire.Room = 0
	for _, s := range []string{"one", "two", "three"} {
		old.conn.Send(text(s), conn.Message)
	}
	old.turn()
	old.conn.NotifyDrained()
	fresh := &fixture{tb: t, now: old.now, loop: old.loop, factory: old.factory, wire: conntest.New(old.loop)}
	fresh.open()
	fresh.said()
	fresh.conn.Replace(old.conn)
	fresh.turn()
	fresh.want("written", fresh.wrote(), "1:one 1:two 1:three")
	fresh.want("new one", fresh.said(), "drained")
	fresh.want("old one", old.said(), "opened; closed ours 1000")
	if !old.wire.Closed || old.conn.Queued() != 0 {
		t.Errorf("the old transport stays, with %d bytes", old.conn.Queued())
	}
}

// Messages that did not arrive in frames count like others.
func TestDeliver(t *testing.T) {
	t.Parallel()
	f := opened(t, conn.Options{})
	f.said()
	if !f.conn.Deliver(ws.OpText, []byte("hello")) {
		t.Error("wants no more")
	}
	f.onMessage = func(string) { f.conn.PauseReads() }
	if f.conn.Deliver(ws.OpBinary, []byte("bin")) || !f.conn.Paused() {
		t.Error("is not paused")
	}
	f.want("received", f.said(), "1 hello; 2 bin")
	f.onMessage = func(string) { panic("on purpose") }
	f.conn.ResumeReads()
	f.turn()
	f.conn.Deliver(ws.OpText, []byte("x"))
	f.turn()
	f.want("after a panic", f.wrote(), "close 1011 internal error")
}

// When the budget is used up, clients that are behind are closed, whatever
// their own queues hold; the others are not affected.
func TestBudget(t *testing.T) {
	t.Parallel()
	budget := conn.NewBudget(100)
	slow, fast := opened(t, conn.Options{Budget: budget}), opened(t, conn.Options{Budget: budget})
	slow.wire.Room = 0
	for range 2 {
		slow.conn.Send(text(strings.Repeat("x", 50)), conn.Message)
		slow.turn()
	}
	if u := budget.Utilization(); u <= 1 {
		t.Fatalf("used %.2f", u)
	}
	if !fast.conn.Send(text("to a client that reads"), conn.Message) {
		t.Error("refused a client that is not behind")
	}
	fast.turn()
	if slow.conn.Send(text("one more"), conn.Message) {
		t.Error("accepted more for the one that is")
	}
	slow.wire.Lose(io.EOF)
	slow.turn()
	if u := budget.Utilization(); u != 0 || slow.stats.Slow.Load() != 1 {
		t.Errorf("used %.2f, %d slow", u, slow.stats.Slow.Load())
	}
}

func TestBudgetOfTheMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(400)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	budget := conn.NewBudget(0)
	debug.SetMemoryLimit(before)
	f := opened(t, conn.Options{Budget: budget})
	f.wire.Room = 0
	f.conn.Send(text(strings.Repeat("x", 50)), conn.Message)
	f.turn()
	if u := budget.Utilization(); u < 0.5 || u > 0.6 { // of 100
		t.Errorf("used %.2f", u)
	}
	if conn.NewBudget(0) != nil {
		t.Error("a bound without a memory limit")
	}
}
