package listen

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/edge/internal/transport/conn"
	"github.com/confab-chat/confab/services/edge/internal/transport/conn/conntest"
	"github.com/confab-chat/confab/services/edge/internal/transport/poll"
)

// FuzzHandshake feeds whole connections, in two pieces, to a server: it never
// panics, sends at most one well-formed response, and opens a connection only for
// a request that follows RFC 6455.
func FuzzHandshake(f *testing.F) {
	const good = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	f.Add([]byte(good+"\r\n"), uint16(0))
	f.Add([]byte(good+"Sec-WebSocket-Protocol: confab.v1, confab.token.x\r\n\r\n\x81\x80\x00\x00\x00\x00"), uint16(40))
	f.Add([]byte(good+"Origin: https://evil.example\r\n\r\n"), uint16(3))
	f.Add([]byte("POST /x HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), uint16(9))
	f.Add([]byte(strings.Replace(good, "HTTP/1.1", "HTTP/1.0", 1)+"\r\n"), uint16(1))
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		g, err := poll.New(poll.Options{Loops: 1, Mode: poll.Goroutine})
		if err != nil {
			t.Fatal(err)
		}
		opened := 0
		s, err := New(Options{Group: g, Routes: []Route{{Path: "/ws", Only: true, Subprotocol: "confab.v1", Gate: func(*Handshake) (conn.Handler, error) {
			opened++
			return conn.EchoHandler{}, nil
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		wire := conntest.New(g.Loops()[0])
		s.accept(wire, netip.MustParseAddrPort("192.0.2.1:1"))
		piece := min(int(cut), len(in))
		for _, b := range [][]byte{in[:piece], in[piece:]} {
			if len(b) > 0 && !wire.Closed {
				wire.Receive(t, bytes.Clone(b))
			}
		}
		g.Loops()[0].Turn(g.Loops()[0].Now())
		checkAnswer(t, in, wire.Take(), opened)
	})
}

func checkAnswer(t *testing.T, in, out []byte, opened int) {
	if len(out) == 0 {
		if opened > 0 {
			t.Fatal("opened without an answer")
		}
		return
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
	if err != nil {
		t.Fatalf("answer %q: %v", out, err)
	}
	if (r.StatusCode == http.StatusSwitchingProtocols) != (opened == 1) {
		t.Fatalf("%d for %d connections", r.StatusCode, opened)
	}
	if opened == 0 {
		return
	}
	std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
	if err != nil {
		t.Fatalf("opened by a request that net/http refuses: %v", err)
	}
	if std.Method != "GET" || std.URL.Path != "/ws" || std.Header.Get("Origin") != "" || std.ContentLength != 0 || len(std.Header["Sec-Websocket-Key"]) != 1 {
		t.Fatalf("opened by %q", in)
	}
}
