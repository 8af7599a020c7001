package auth

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/proto/strictjson"
)

// maxDate is the last second of the year 9999: later dates are mistakes, and
// some of them overflow into the past.
const maxDate = 253402300799

var errDate = errors.New("a date out of range")

// claims holds the registered claims that are checked (RFC 7519, section 4.1) and
// the names that identity providers send (OpenID Connect Core, section 5.1). It
// implements jwt.Claims.
type claims struct {
	// Dates are rounded down to whole seconds. ExpiresAt is after 1970; NotBefore and IssuedAt are nil when
	// absent.
	jwt.RegisteredClaims

	username, name, preferred string // "" when absent, or not a string
}

// UnmarshalJSON implements json.Unmarshaler. Unlike encoding/json it refuses a
// duplicate name, and names that differ in case are different names. The claims of
// RFC 7519 must have the types given there; of others only the syntax is checked.
func (c *claims) UnmarshalJSON(b []byte) error {
	var r strictjson.Reader
	r.Reset(b)
	sound := true
	for r.BeginObject(); r.NextMember(); {
		switch string(r.Key()) {
		case "sub":
			c.Subject = subject(&r)
		case "iss":
			c.Issuer = r.Text()
		case "aud":
			c.Audience = texts(&r)
		case "exp":
			c.ExpiresAt = date(&r, &sound)
			sound = sound && c.ExpiresAt.Unix() > 0
		case "nbf":
			c.NotBefore = date(&r, &sound)
		case "iat":
			c.IssuedAt = date(&r, &sound)
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

// subject reads a string, or a whole number, whose decimal text is the user id: token
// issuers often use the number of a database row.
func subject(r *strictjson.Reader) string {
	if r.Kind() == strictjson.Number {
		return strconv.FormatInt(r.Int(), 10)
	}
	return r.Text()
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

// textIfAny reads a string; any other value is skipped and read as "".
func textIfAny(r *strictjson.Reader) string {
	if r.Kind() != strictjson.String {
		return ""
	}
	return r.Text()
}

// displayName returns the first claim with something visible in it. When that equals
// the user id it returns the subject string itself, because connections keep both.
func (c *claims) displayName() string {
	for _, s := range []string{c.username, c.name, c.preferred, c.Subject} {
		switch name := event.SanitizeName(s); name {
		case "":
		case c.Subject:
			return c.Subject
		default:
			return name
		}
	}
	return c.Subject
}
