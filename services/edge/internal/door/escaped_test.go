package door_test

import (
	"strings"
	"testing"

	"github.com/confab-chat/confab/services/edge/internal/door"
	"github.com/confab-chat/confab/services/edge/internal/native"
)

func TestEscapedOnce(t *testing.T) {
	t.Parallel()
	data := []byte(`{"id":"<1>","content":"<b>\"&'</b>","author":{"id":"a&b","username":"<Ada>"}}`)
	const want = `{"id":"<1>","content":"&lt;b&gt;&#34;&amp;&#39;&lt;/b&gt;","author":{"id":"a&b","username":"&lt;Ada&gt;"}}`
	codec := door.Escaped{Codec: native.Codec{}}
	for name, frame := range map[string][]byte{
		"event":    codec.AppendEvent(nil, "receiveMessage", data),
		"reply":    codec.AppendReply(nil, 7, "messageSent", data),
		"no reply": codec.AppendReply(nil, door.NoID, "messageSent", data),
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
