package listen

import (
	"bytes"
	"net/url"
	"slices"

	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/services/edge/internal/listen/head"
)

// offers reports whether the client offers the subprotocol; false for "".
func offers(r *head.Request, protocol string) bool {
	return protocol != "" && slices.ContainsFunc(r.Protocols, func(p []byte) bool { return string(p) == protocol })
}

// tokenProtocol starts a subprotocol that carries the token: a browser cannot set
// headers, and offers it beside the real subprotocol. It is never selected.
const tokenProtocol = "confab.token."

// token returns the token from the Authorization header, the subprotocols or, if
// query allows it, the query. The first match wins; "" means none.
func token(r *head.Request, query bool) string {
	if t := auth.Bearer(string(r.Authorization)); t != "" {
		return t
	}
	for _, p := range r.Protocols {
		if t, ok := bytes.CutPrefix(p, []byte(tokenProtocol)); ok {
			return string(t)
		}
	}
	if !query {
		return ""
	}
	for pair := range bytes.SplitSeq(r.Query, []byte("&")) {
		if v, ok := bytes.CutPrefix(pair, []byte("token=")); ok {
			if t, err := url.QueryUnescape(string(v)); err == nil {
				return t
			}
		}
	}
	return ""
}
