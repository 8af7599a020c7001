package codec

import "github.com/confab-chat/confab/proto/event"

// Escaped is a codec whose clients get what people write escaped for HTML
// (CONFAB_ESCAPE_HTML). Texts are stored raw, and every object passes a codec once.
type Escaped struct{ Codec }

// AppendReply implements Encoder.
func (e Escaped) AppendReply(dst []byte, id int64, name string, data []byte) []byte {
	return e.Codec.AppendReply(dst, id, name, event.AppendEscaped(nil, data))
}

// AppendEvent implements Encoder.
func (e Escaped) AppendEvent(dst []byte, name string, data []byte) []byte {
	return e.Codec.AppendEvent(dst, name, event.AppendEscaped(nil, data))
}
