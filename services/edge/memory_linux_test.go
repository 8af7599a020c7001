package edge_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/confab-chat/confab/proto/subject"
	"github.com/confab-chat/confab/shared/eventually"
)

// idleTargets are what an idle connection in a room may cost the edge by its protocol, in
// bytes of user memory.
func idleTargets() map[string]float64 {
	return map[string]float64{"native": 720, "socketio": 1180, "polling": 1800}
}

// TestIdleMemory measures idle connections of all protocols in one room, all of one user:
// what a user costs is another figure, and the owner, who is in this process too, has
// its share of it. A client costs a descriptor here. Long-polling is measured between
// two requests: one that waits costs a goroutine and net/http's buffers.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's memory is not ours")
	}
	for protocol, target := range idleTargets() {
		t.Run(protocol, func(t *testing.T) {
			w := start(t, "ENABLE_HEARTBEAT=false", "LOG_LEVEL=error", "PRESENCE_SCOPE=rooms", "EDGE_LOOPS=2")
			clients := 2000
			if protocol == "polling" {
				clients = 400 // each takes six connections
			}
			quiet := runtime.NumGoroutine()
			var fds []int
			for range 200 { // what is made once
				fds = append(fds, w.openIdle(protocol, "ann"))
			}
			eventually.True(t, "no request is open", func() bool { return runtime.NumGoroutine() < quiet+50 })
			eventually.True(t, "every owner was checked: their goroutines have grown", func() bool {
				for shard := range subject.Shards {
					if w.owner.Checked(shard).Edge == "" {
						return false
					}
				}
				return true
			})
			before := used()
			for range clients {
				fds = append(fds, w.openIdle(protocol, "ann"))
			}
			eventually.True(t, "no request is open", func() bool { return runtime.NumGoroutine() < quiet+50 })
			each := float64(used()-before) / float64(clients)
			t.Logf("%s: %.0f bytes for each idle connection in a room", protocol, each)
			if each > target {
				t.Errorf("over %.0f bytes", target)
			}
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		})
	}
}

func used() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// openIdle joins room r as user and returns the socket's descriptor, which is all
// that is left of the client.
func (w *world) openIdle(protocol, user string) int {
	w.tb.Helper()
	if protocol == "polling" {
		s := w.pollSession("/socket.io/")
		s.post(fmt.Sprintf(`40/chat,{"token":%q}`, token(user, time.Hour)))
		s.gets("40/chat,{")
		s.post(`42/chat,["joinRoom",{"roomId":"r"}]`)
		s.gets(`42/chat,["joinedRoom"`)
		return -1
	}
	path, header, texts := "/ws", "Authorization: Bearer "+token(user, time.Hour)+"\r\n", []string{`{"id":1,"event":"joinRoom","data":{"roomId":"r"}}`}
	answer := `"joinedRoom"`
	if protocol == "socketio" {
		path, header = "/socket.io/?EIO=4&transport=websocket", ""
		texts = []string{fmt.Sprintf(`40/chat,{"token":%q}`, token(user, time.Hour)), `42/chat,1["joinRoom",{"roomId":"r"}]`}
	}
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(eventually.Patience()))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
		path, "MDEyMzQ1Njc4OWFiY2RlZg==", header)
	r := bufio.NewReaderSize(nc, 1024)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			w.tb.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
	}
	for i, text := range texts {
		if err := ws.WriteFrame(nc, ws.MaskFrame(ws.NewTextFrame([]byte(text)))); err != nil {
			w.tb.Fatal(err)
		}
		want := answer
		if i < len(texts)-1 {
			want = "40/chat,{"
		}
		for !strings.Contains(readText(w.tb, r), want) {
		}
	}
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		w.tb.Fatal(err)
	}
	fd := -1
	if cerr := raw.Control(func(p uintptr) { fd, err = unix.Dup(int(p)) }); cerr != nil || err != nil {
		w.tb.Fatal(cerr, err)
	}
	return fd
}

// readText reads a server's frame.
func readText(tb testing.TB, r io.Reader) string {
	tb.Helper()
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		tb.Fatal(err)
	}
	n := int(head[1])
	if n == 126 {
		var long [2]byte
		if _, err := io.ReadFull(r, long[:]); err != nil {
			tb.Fatal(err)
		}
		n = int(binary.BigEndian.Uint16(long[:]))
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		tb.Fatal(err)
	}
	return string(b)
}
