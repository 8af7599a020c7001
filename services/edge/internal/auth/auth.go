// Package auth verifies the tokens that clients present: JSON Web Tokens, with
// RFC 8725 as the checklist. It does no I/O.
package auth

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
)

const (
	// maxToken is the longest token that is decoded, in bytes. It bounds the cost
	// of base64 and JSON before the signature is checked.
	maxToken = 4096
	// maxLeeway is the largest clock difference that may be configured.
	maxLeeway = 30 * time.Second
)

// Identity is the user that a verified token names.
type Identity struct {
	UserID   string    // claim sub: 1-128 bytes, visible characters
	Username string    // display name, 1-64 code points; the user id when the token has none
	Expires  time.Time // claim exp
}

// Verifier returns the identity in a token. Verify must not block: it is called on
// event loops. The error is a *code.Error with code.Unauthorized or
// code.TokenExpired. Safe for concurrent use.
type Verifier interface {
	Verify(token string) (Identity, error)
}

// Options of a verifier.
type Options struct {
	Issuer   string           // claim iss must equal it, unless empty
	Audience string           // claim aud must contain it, unless empty
	Leeway   time.Duration    // for nbf, iat; 0 to 30 s
	Now      func() time.Time // default time.Now
}

// JWT is the Verifier of this package: golang-jwt's parser and rules over the
// project's strict claims. It caches nothing (ADR 0010).
type JWT struct {
	keys   Keys
	parser *jwt.Parser
	now    func() time.Time
}

// New returns a verifier with the given keys. It returns an error for a leeway
// out of range and for algorithms that cannot be used.
func New(keys Keys, o Options) (*JWT, error) {
	if o.Leeway < 0 || o.Leeway > maxLeeway {
		return nil, fmt.Errorf("token leeway %v: %w", o.Leeway, ErrLeeway)
	}
	for _, name := range keys.Methods {
		if jwt.GetSigningMethod(name) == nil || name == jwt.SigningMethodNone.Alg() {
			return nil, fmt.Errorf("token algorithm %q: %w", name, ErrNoMethod)
		}
	}
	if len(keys.Methods) == 0 {
		return nil, ErrNoMethod
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(keys.Methods), jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	return &JWT{keys: keys, parser: jwt.NewParser(options...), now: o.Now}, nil
}

// Verify implements Verifier. The error distinguishes only what the bearer can
// act on: an expired token, or an invalid one.
func (v *JWT) Verify(token string) (Identity, error) {
	if len(token) > maxToken {
		return Identity{}, invalid()
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, v.key)
	switch {
	case err != nil && !onlyExpired(err), !event.ValidUserID(c.Subject):
		return Identity{}, invalid()
	case err != nil, !v.now().Before(c.ExpiresAt.Time):
		// No leeway here: the connection would be closed for it at once.
		return Identity{}, code.New(code.TokenExpired, "the token has expired")
	}
	return Identity{UserID: c.Subject, Username: c.displayName(), Expires: c.ExpiresAt.Time}, nil
}

// key returns the verification key for a token's header (RFC 7515, section 4).
// What the header points to (jku, x5u, jwk) is never followed.
func (v *JWT) key(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errCritical // section 4.1.11: no extension is supported
	}
	kid, isText := t.Header["kid"].(string)
	if _, given := t.Header["kid"]; given && !isText {
		return nil, errKeyID
	}
	return v.keys.Find(t.Method.Alg(), kid)
}

func invalid() error { return code.New(code.Unauthorized, "the token is not valid") }

// onlyExpired reports whether err means a properly signed token whose only fault is
// its age.
func onlyExpired(err error) bool {
	if !errors.Is(err, jwt.ErrTokenExpired) {
		return false
	}
	for _, other := range []error{
		jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenInvalidAudience,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenRequiredClaimMissing,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// Bearer returns the token in an Authorization header (RFC 6750, section 2.1), or ""
// for another scheme.
func Bearer(header string) string {
	const scheme = "bearer "
	if len(header) <= len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return ""
	}
	return strings.TrimLeft(header[len(scheme):], " ")
}
