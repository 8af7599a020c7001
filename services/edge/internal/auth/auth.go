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
	// maxToken is the longest token that is looked at, in bytes. Beyond it
	// nobody knows what its base64 and JSON would cost.
	maxToken = 4096
	// maxLeeway is the most that clocks may differ (hardening: <= 30 s).
	maxLeeway = 30 * time.Second
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

// JWT is the Verifier of this package: the library's algorithms and rules over
// the project's own JSON reader. It remembers no tokens (ADR 0010).
type JWT struct {
	keys      Keys
	methods   map[string]jwt.SigningMethod // those that are allowed, by name
	parser    *jwt.Parser                  // for its base64
	validator *jwt.Validator
	now       func() time.Time
}

// New returns a verifier with the given keys. It returns an error for a leeway
// out of range and for algorithms that cannot be used.
func New(keys Keys, o Options) (*JWT, error) {
	if o.Leeway < 0 || o.Leeway > maxLeeway {
		return nil, fmt.Errorf("token leeway %v: %w", o.Leeway, ErrLeeway)
	}
	methods := map[string]jwt.SigningMethod{}
	for _, name := range keys.Methods() {
		if methods[name] = jwt.GetSigningMethod(name); methods[name] == nil || name == jwt.SigningMethodNone.Alg() {
			return nil, fmt.Errorf("token algorithm %q: %w", name, ErrNoMethod)
		}
	}
	if len(methods) == 0 {
		return nil, ErrNoMethod
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	options := []jwt.ParserOption{
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	return &JWT{
		keys: keys, methods: methods, parser: jwt.NewParser(jwt.WithStrictDecoding()),
		validator: jwt.NewValidator(options...), now: o.Now,
	}, nil
}

// Verify implements Verifier. What is wrong with a token is told only as far
// as its bearer can act on it: expired, or not. The claims are not looked at
// before the signature is found right.
func (v *JWT) Verify(token string) (Identity, error) {
	if len(token) > maxToken {
		return Identity{}, invalid()
	}
	payload, err := v.signed(token)
	if err != nil {
		return Identity{}, invalid()
	}
	var c claims
	if err := c.UnmarshalJSON(payload); err != nil {
		return Identity{}, invalid()
	}
	err = v.validator.Validate(&c)
	switch {
	case err != nil && !onlyExpired(err), !event.ValidUserID(c.subject):
		return Identity{}, invalid()
	case err != nil, !v.now().Before(c.expires.Time):
		// No leeway here: the connection would be closed for it at once.
		return Identity{}, code.New(code.TokenExpired, "the token has expired")
	}
	return Identity{UserID: c.subject, Username: c.displayName(), Expires: c.expires.Time}, nil
}

// signed is the payload of a token in compact serialization (RFC 7515, 7.1)
// whose signature is right.
func (v *JWT) signed(token string) ([]byte, error) {
	protected, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok {
		return nil, jwt.ErrTokenMalformed
	}
	var h header
	if b, err := v.parser.DecodeSegment(protected); err != nil {
		return nil, err
	} else if err := h.UnmarshalJSON(b); err != nil {
		return nil, err
	}
	sig, err := v.parser.DecodeSegment(signature)
	if err != nil {
		return nil, err
	}
	if err := v.verify(h, token[:len(protected)+1+len(payload)], sig); err != nil {
		return nil, err
	}
	return v.parser.DecodeSegment(payload)
}

// verify checks a signature with the keys for a token's header.
func (v *JWT) verify(h header, text string, sig []byte) error {
	method := v.methods[h.algorithm]
	if method == nil {
		return errAlgorithm
	}
	key, err := v.keys.Key(h.algorithm, h.keyID)
	if err != nil {
		return err
	}
	set, ok := key.(jwt.VerificationKeySet)
	if !ok {
		return method.Verify(text, sig, key)
	}
	err = jwt.ErrTokenUnverifiable // of an empty set
	for _, key := range set.Keys {
		if err = method.Verify(text, sig, key); err == nil {
			return nil
		}
	}
	return err
}

func invalid() error { return code.New(code.Unauthorized, "the token is not valid") }

// onlyExpired tells whether a properly signed token is wrong in nothing but its age.
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
