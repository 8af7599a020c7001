// Package head reads the head of an HTTP/1 request, as far as a WebSocket
// upgrade needs it, within limits. It does no I/O and copies nothing.
package head

import (
	"bytes"
	"errors"
	"net/http"
)

const (
	// MaxBytes is the longest head, the request line included.
	MaxBytes = 16 << 10
	// MaxLines is the most header lines.
	MaxLines = 64
)

var (
	// ErrTooLarge is returned for a head over one of the limits.
	ErrTooLarge = errors.New("request header too large")
	// ErrMalformed is returned for a head that is not HTTP/1 (RFC 9112).
	ErrMalformed = errors.New("malformed request")
)

// Scanner finds the end of a head that arrives in pieces. The zero value is ready
// for use.
type Scanner struct {
	pos   int // start of the line that is incomplete
	seen  int // bytes searched for a line feed
	lines int // complete lines, the request line included
}

// Scan looks at everything received so far (b grows from call to call) and returns
// the length of the head with its blank line, or 0 while it is incomplete. It
// returns ErrTooLarge as soon as the head exceeds a limit, and ErrMalformed when b
// cannot become a request.
func (s *Scanner) Scan(b []byte) (int, error) {
	if len(b) > 0 && (b[0] < 'A' || b[0] > 'Z') {
		return 0, ErrMalformed // no method: TLS, a PROXY header, or noise
	}
	for {
		i := bytes.IndexByte(b[s.seen:], '\n')
		if i < 0 {
			s.seen = len(b)
			if len(b) >= MaxBytes {
				return 0, ErrTooLarge
			}
			return 0, nil
		}
		end := s.seen + i + 1
		if end > MaxBytes {
			return 0, ErrTooLarge
		}
		line := trimEnd(b[s.pos:end])
		s.pos, s.seen = end, end
		if len(line) == 0 {
			return end, nil
		}
		if s.lines++; s.lines > MaxLines+1 {
			return 0, ErrTooLarge
		}
	}
}

// Request is a parsed head. Its slices point into the bytes it was parsed from.
// Headers that must not repeat are counted; the last one is kept.
type Request struct {
	Method string // one of the usual methods, or ""
	Path   []byte // raw
	Query  []byte // raw, without the question mark
	Major  int    // HTTP version
	Minor  int

	Host, Key, Version, Origin, Authorization []byte

	Hosts, Keys, Origins, Authorizations int

	WebSocket bool // Upgrade names websocket
	Upgrade   bool // Connection names upgrade
	Body      bool // a body may follow: Transfer-Encoding, or a Content-Length but 0
	Protocols [][]byte
}

// Parse reads a whole head, as delimited by Scan. It may return ErrMalformed.
func Parse(b []byte) (Request, error) {
	var r Request
	line, b := cutLine(b)
	if err := r.requestLine(line); err != nil {
		return r, err
	}
	for {
		line, b = cutLine(b)
		if len(line) == 0 {
			return r, nil
		}
		if err := r.header(line); err != nil {
			return r, err
		}
	}
}

func (r *Request) requestLine(line []byte) error {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || len(target) == 0 || !token(method) || !visible(target) {
		return ErrMalformed
	}
	if r.Major, r.Minor, ok = http.ParseHTTPVersion(string(version)); !ok {
		return ErrMalformed
	}
	r.Method = methodName(method)
	r.Path, r.Query, _ = bytes.Cut(originForm(target), []byte("?"))
	return nil
}

// originForm also accepts the absolute form, as RFC 9112 section 3.2.2 requires:
// clients of proxies send it.
func originForm(target []byte) []byte {
	for _, scheme := range [...]string{"http://", "https://"} {
		if n := len(scheme); len(target) > n && bytes.EqualFold(target[:n], []byte(scheme)) {
			if i := bytes.IndexAny(target[n:], "/?"); i >= 0 && target[n+i] == '/' {
				return target[n+i:]
			} else if i >= 0 {
				return append([]byte("/"), target[n+i:]...)
			}
			return []byte("/")
		}
	}
	return target
}

func (r *Request) header(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !token(name) { // also a folded line, which begins with a space
		return ErrMalformed
	}
	value = bytes.Trim(value, " \t")
	if !fieldValue(value) {
		return ErrMalformed
	}
	switch {
	case is(name, "host"):
		r.Host = value
		r.Hosts++
	case is(name, "origin"):
		r.Origin = value
		r.Origins++
	case is(name, "authorization"):
		r.Authorization = value
		r.Authorizations++
	case is(name, "sec-websocket-key"):
		r.Key = value
		r.Keys++
	case is(name, "sec-websocket-version"):
		r.Version = value
	case is(name, "sec-websocket-protocol"):
		r.addProtocols(value)
	case is(name, "upgrade"):
		r.WebSocket = r.WebSocket || HasToken(value, "websocket")
	case is(name, "connection"):
		r.Upgrade = r.Upgrade || HasToken(value, "upgrade")
	case is(name, "transfer-encoding"):
		r.Body = true
	case is(name, "content-length"):
		r.Body = r.Body || string(value) != "0"
	}
	return nil
}

func (r *Request) addProtocols(value []byte) {
	for p := range bytes.SplitSeq(value, []byte(",")) {
		if p = bytes.Trim(p, " \t"); len(p) > 0 {
			r.Protocols = append(r.Protocols, p)
		}
	}
}

// methodName returns a usual method without allocating, or "".
func methodName(b []byte) string {
	for _, m := range [...]string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		if string(b) == m {
			return m
		}
	}
	return ""
}

// cutLine cuts b after its first line and returns the line without its line break.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, nil
	}
	return trimEnd(b[:i+1]), b[i+1:]
}

// trimEnd removes CR LF, or the lone LF that RFC 9112 section 2.2 allows.
func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
}

// is reports whether a header's name equals a lower-case one.
func is(name []byte, lower string) bool {
	return len(name) == len(lower) && bytes.EqualFold(name, []byte(lower))
}

// HasToken reports whether a comma-separated value contains a lower-case token.
func HasToken(value []byte, lower string) bool {
	for v := range bytes.SplitSeq(value, []byte(",")) {
		if is(bytes.Trim(v, " \t"), lower) {
			return true
		}
	}
	return false
}

// visible reports whether b is visible ASCII, as a request target must be (RFC 3986).
func visible(b []byte) bool {
	return !bytes.ContainsFunc(b, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// fieldValue reports whether b has no control characters except tab (RFC 9110,
// section 5.5).
func fieldValue(b []byte) bool {
	return !bytes.ContainsFunc(b, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// token reports whether b is a token (RFC 9110, section 5.6.2).
func token(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		case bytes.IndexByte([]byte("!#$%&'*+.^_`|~"), c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}
