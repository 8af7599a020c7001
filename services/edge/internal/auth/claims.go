package auth

import (
	"errors"
	"math"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/strictjson"
)

// maxDate is the last second of the year 9999: later dates are mistakes, and
// some of them overflow into the past.
const maxDate = 253402300799

var errDate = errors.New("a date out of range")

// header is what matters of a token's header (RFC 7515, section 4). Nothing that
// it points to (jku, x5u, jwk) is ever looked at.
type header struct {
	algorithm string // alg
	keyID     string // kid, which may be anything
}

// UnmarshalJSON implements json.Unmarshaler. Unlike encoding/json's types it
// refuses a name twice, and names that differ in case are different ones.
func (h *header) UnmarshalJSON(b []byte) error {
	var r strictjson.Reader
	r.Reset(b)
	for r.BeginObject(); r.NextMember(); {
		switch string(r.Key()) {
		case "alg":
			h.algorithm = r.Text()
		case "kid":
			h.keyID = r.Text()
		case "crit":
			return errCritical // section 4.1.11: we understand no extension
		}
	}
	return r.End()
}

// claims is what matters of a token's claims (RFC 7519, section 4.1), and what
// identity providers call a name (OpenID Connect Core, section 5.1). It
// implements jwt.Claims.
type claims struct {
	subject   string
	issuer    string
	audience  jwt.ClaimStrings
	expires   *jwt.NumericDate // whole seconds, after 1970
	notBefore *jwt.NumericDate // nil when absent
	issuedAt  *jwt.NumericDate // nil when absent

	username, name, preferred string // "" when absent, or no text
}

// UnmarshalJSON implements json.Unmarshaler, as strictly as header's. The claims
// of RFC 7519 must have its types; of others only the syntax is checked.
func (c *claims) UnmarshalJSON(b []byte) error {
	var r strictjson.Reader
	r.Reset(b)
	sound := true
	for r.BeginObject(); r.NextMember(); {
		switch string(r.Key()) {
		case "sub":
			c.subject = r.Text()
		case "iss":
			c.issuer = r.Text()
		case "aud":
			c.audience = texts(&r)
		case "exp":
			n := r.Int() // the library would round
			c.expires, sound = jwt.NewNumericDate(time.Unix(n, 0)), sound && n > 0 && n <= maxDate
		case "nbf":
			c.notBefore = date(&r, &sound)
		case "iat":
			c.issuedAt = date(&r, &sound)
		case "username":
			c.username = textIfAny(&r)
		case "name":
			c.name = textIfAny(&r)
		case "preferred_username":
			c.preferred = textIfAny(&r)
		}
	}
	if err := r.End(); err != nil {
		return err
	}
	if !sound {
		return errDate
	}
	return nil
}

// date reads a NumericDate, which may have a fraction, down to its second. It
// clears sound for one that is out of range.
func date(r *strictjson.Reader, sound *bool) *jwt.NumericDate {
	seconds := math.Floor(r.Float())
	if math.Abs(seconds) > maxDate {
		*sound = false
		return nil
	}
	return jwt.NewNumericDate(time.Unix(int64(seconds), 0))
}

// texts reads a string, or an array of strings.
func texts(r *strictjson.Reader) (all []string) {
	if r.Kind() == strictjson.String {
		return []string{r.Text()}
	}
	for r.BeginArray(); r.NextElement(); {
		all = append(all, r.Text())
	}
	return all
}

// textIfAny reads a string and leaves any other value to be skipped.
func textIfAny(r *strictjson.Reader) string {
	if r.Kind() != strictjson.String {
		return ""
	}
	return r.Text()
}

// displayName is the first of the claims that leaves something to show. When that is
// the user id, it is the subject itself: connections keep both.
func (c *claims) displayName() string {
	for _, s := range []string{c.username, c.name, c.preferred, c.subject} {
		switch name := event.SanitizeName(s); name {
		case "":
		case c.subject:
			return c.subject
		default:
			return name
		}
	}
	return c.subject
}

// What follows implements jwt.Claims, for the library's rules.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.expires, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.notBefore, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.issuedAt, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.audience, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.subject, nil }
