package listen

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	"github.com/confab-chat/confab/services/edge/internal/listen/head"
)

// errRewrite is returned for a request that cannot be written down again.
var errRewrite = errors.New("request cannot be taken back from net/http")

// upgrades tells whether a request wants to become a WebSocket.
func upgrades(r *http.Request) bool {
	for _, v := range r.Header["Upgrade"] {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), "websocket") {
				return true
			}
		}
	}
	return false
}

// rewrite is the head of a request that net/http has parsed, as it came but
// for the order and case of the header's names.
func rewrite(r *http.Request) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(r.Method + " " + r.RequestURI + " " + r.Proto + "\r\n")
	if r.Host != "" {
		b.WriteString("Host: " + r.Host + "\r\n")
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		b.WriteString("Transfer-Encoding: chunked\r\n") // net/http keeps it to itself; a body is refused
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
