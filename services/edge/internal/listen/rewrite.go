package listen

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	"github.com/confab-chat/confab/services/edge/internal/listen/head"
)

// errRewrite is returned for a request that cannot be rebuilt.
var errRewrite = errors.New("request cannot be rebuilt from net/http")

// wantsWebSocket reports whether a request asks for an upgrade to WebSocket.
func wantsWebSocket(r *http.Request) bool {
	for _, v := range r.Header["Upgrade"] {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), "websocket") {
				return true
			}
		}
	}
	return false
}

// rewrite rebuilds the head of a request that net/http has parsed. Only the order
// and case of header names may differ from the original.
func rewrite(r *http.Request) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(r.Method + " " + r.RequestURI + " " + r.Proto + "\r\n")
	if r.Host != "" {
		b.WriteString("Host: " + r.Host + "\r\n")
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		b.WriteString("Transfer-Encoding: chunked\r\n") // net/http removes the header; a request with a body is refused
	}
	if err := r.Header.Write(&b); err != nil {
		return nil, err
	}
	b.WriteString("\r\n")
	if _, err := head.Parse(b.Bytes()); err != nil || b.Len() > head.MaxBytes {
		return nil, errRewrite
	}
	return b.Bytes(), nil
}
