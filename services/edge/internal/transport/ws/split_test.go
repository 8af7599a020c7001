package ws_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/edge/internal/transport/ws"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	var all []byte
	want := []string{"", "a", strings.Repeat("b", 125), strings.Repeat("c", 126), strings.Repeat("d", 65535), strings.Repeat("e", 65536)}
	for i, p := range want {
		all = ws.AppendFrame(all, ws.OpCode(1+i%2), []byte(p))
	}
	for i, p := range want {
		op, payload, rest := ws.Split(all)
		if op != ws.OpCode(1+i%2) || string(payload) != p {
			t.Errorf("frame %d: op %d, %d bytes", i, op, len(payload))
		}
		all = rest
	}
	if len(all) > 0 {
		t.Errorf("%d bytes left", len(all))
	}
	for n := range 12 {
		frame := ws.AppendFrame(nil, ws.OpText, bytes.Repeat([]byte("x"), 70000))
		if _, payload, rest := ws.Split(frame[:n]); payload != nil || rest != nil {
			t.Errorf("cut at %d: %d %d", n, len(payload), len(rest))
		}
	}
}
