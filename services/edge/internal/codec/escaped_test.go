package codec_test

import (
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/edge/internal/codec"
	"github.com/confab-chat/confab/services/edge/internal/codec/native"
)

func TestEscapedOnce(t *testing.T) {
	t.Parallel()
	data := []byte(`{"id":"<1>","content":"<b>\"&'</b>","author":{"id":"a&b","username":"<Ada>"}}`)
	const want = `{"id":"<1>","content":"&lt;b&gt;&#34;&amp;&#39;&lt;/b&gt;","author":{"id":"a&b","username":"&lt;Ada&gt;"}}`
	escaped := codec.Escaped{Codec: native.Codec{}}
	for name, frame := range map[string][]byte{
		"event":    escaped.AppendEvent(nil, "receiveMessage", data),
		"reply":    escaped.AppendReply(nil, 7, "messageSent", data),
		"no reply": escaped.AppendReply(nil, codec.NoID, "messageSent", data),
	} {
		if name == "no reply" {
			if len(frame) != 0 {
				t.Errorf("answered: %s", frame)
			}
			continue
		}
		if !strings.Contains(string(frame), want) {
			t.Errorf("%s: %s", name, frame)
		}
	}
}
