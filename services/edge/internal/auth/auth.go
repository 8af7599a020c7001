// Package auth verifies the tokens that clients present: JSON Web Tokens, with
// RFC 8725 as the checklist. It does no I/O.
package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
)

const (
	// maxToken is the longest token that is looked at, in bytes. Beyond it
	// nobody knows what its base64 and JSON would cost.
	maxToken = 4096
	// maxLeeway is the most that clocks may differ (hardening: <= 30 s).
	maxLeeway = 30 * time.Second
	// maxDate is the last second of the year 9999: later dates are mistakes,
	// and some of them overflow into the past.
	maxDate = 253402300799
)

// Identity is who a verified token speaks for.
type Identity struct {
	UserID   string    // claim sub: 1-128 bytes, visible characters
	Username string    // display name, 1-64 code points; of the user id when the token has none
	Expires  time.Time // claim exp
}

// Verifier tells who a token speaks for. It must not block: it is called on
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

// JWT is the Verifier of this package. It remembers no tokens: checking one
// costs about 5 us, a sixth of a handshake, and those who come back after a
// restart come back to another edge.
type JWT struct {
	keys   Keys
	parser *jwt.Parser
	now    func() time.Time
	claims sync.Pool // of empty jwt.MapClaims
}

// New returns a verifier with the given keys. It returns an error for a leeway
// out of range and for keys that allow no algorithm.
func New(keys Keys, o Options) (*JWT, error) {
	if o.Leeway < 0 || o.Leeway > maxLeeway {
		return nil, fmt.Errorf("token leeway %v: %w", o.Leeway, ErrLeeway)
	}
	methods := keys.Methods()
	if len(methods) == 0 {
		return nil, ErrNoMethod // the parser takes an empty list for "any"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now), jwt.WithJSONNumber(), jwt.WithStrictDecoding(),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	return &JWT{
		keys: keys, parser: jwt.NewParser(options...), now: o.Now,
		claims: sync.Pool{New: func() any { return jwt.MapClaims{} }},
	}, nil
}

// Verify implements Verifier. What is wrong with a token is told only as far
// as its bearer can act on it: expired, or not.
func (v *JWT) Verify(token string) (Identity, error) {
	if len(token) > maxToken {
		return Identity{}, invalid()
	}
	claims := v.claims.Get().(jwt.MapClaims)
	defer func() {
		clear(claims)
		v.claims.Put(claims)
	}()
	_, err := v.parser.ParseWithClaims(token, claims, v.key)
	exp, ok := dates(claims)
	switch {
	case err != nil && ok && onlyExpired(err):
		return Identity{}, code.New(code.TokenExpired, "the token has expired")
	case err != nil || !ok:
		return Identity{}, invalid()
	case v.now().Unix() >= exp:
		// No leeway here: the connection would be closed for it at once.
		return Identity{}, code.New(code.TokenExpired, "the token has expired")
	}
	sub, _ := claims["sub"].(string)
	if !event.ValidUserID(sub) {
		return Identity{}, invalid()
	}
	return Identity{UserID: sub, Username: displayName(claims, sub), Expires: time.Unix(exp, 0)}, nil
}

// key finds the key for a token's header. Nothing that the header points to
// (jku, x5u, jwk) is ever looked at.
func (v *JWT) key(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errCritical // RFC 7515, 4.1.11: we understand no extension
	}
	kid, _ := t.Header["kid"].(string)
	return v.keys.Key(t.Method.Alg(), kid)
}

func invalid() error { return code.New(code.Unauthorized, "the token is not valid") }

// onlyExpired tells whether a properly signed token is wrong in nothing but its age.
func onlyExpired(err error) bool {
	if !errors.Is(err, jwt.ErrTokenExpired) {
		return false
	}
	for _, other := range []error{
		jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenInvalidAudience,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenRequiredClaimMissing, jwt.ErrInvalidType,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// dates checks that exp is whole seconds and that nbf and iat are dates at
// all. The library rounds and wraps around where this is strict.
func dates(claims jwt.MapClaims) (exp int64, ok bool) {
	for _, name := range []string{"nbf", "iat"} {
		v, there := claims[name]
		if !there {
			continue
		}
		n, isNumber := v.(json.Number)
		if f, err := n.Float64(); !isNumber || err != nil || math.Abs(f) > maxDate {
			return 0, false
		}
	}
	n, _ := claims["exp"].(json.Number)
	exp, err := strconv.ParseInt(n.String(), 10, 64)
	return exp, err == nil && exp > 0 && exp <= maxDate
}

// displayName is the first of the claims that leaves something to show. When that is
// the user id, it is sub itself: connections keep both.
func displayName(claims jwt.MapClaims, sub string) string {
	for _, claim := range []string{"username", "name", "preferred_username"} {
		if s, ok := claims[claim].(string); ok {
			switch name := event.SanitizeName(s); name {
			case "":
			case sub:
				return sub
			default:
				return name
			}
		}
	}
	if name := event.SanitizeName(sub); name != "" {
		return name
	}
	return sub
}
