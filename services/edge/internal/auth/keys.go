package auth

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// minSecret is the shortest HMAC secret, in bytes (RFC 7518, section 3.2).
const minSecret = 32

var (
	// ErrSecret is returned by HMAC for a secret under 32 bytes, or none.
	ErrSecret = errors.New("hmac secret is shorter than 32 bytes")
	// ErrLeeway is returned by New for a leeway outside 0 to 30 s.
	ErrLeeway = errors.New("leeway must be 0 to 30s")
	// ErrNoMethod is returned by New for keys without an algorithm, or with an
	// unknown one or "none".
	ErrNoMethod = errors.New("no usable token algorithm")

	errCritical  = errors.New("critical header")
	errKeyID     = errors.New("kid is not a string")
	errAlgorithm = errors.New("no key for this algorithm")
)

// Keys are the verification keys.
type Keys struct {
	Methods []string // the algorithms that are allowed, by their JWT names
	// Find returns the key for the header's algorithm and key id, so that a key
	// of one kind is never used as another. kid comes from the client and may
	// be any string. The result has the type that golang-jwt expects for alg.
	// Find must not block, and may be called concurrently.
	Find func(alg, kid string) (any, error)
}

// HMAC returns the keys for HS256 with shared secrets: the current one first, then
// those still accepted while a secret is being rotated. It returns ErrSecret when
// there is no secret or one is too short.
func HMAC(secrets ...[]byte) (Keys, error) {
	if len(secrets) == 0 {
		return Keys{}, ErrSecret
	}
	var set jwt.VerificationKeySet
	for i, s := range secrets {
		if len(s) < minSecret {
			return Keys{}, fmt.Errorf("secret %d: %w", i+1, ErrSecret)
		}
		set.Keys = append(set.Keys, s)
	}
	find := func(alg, _ string) (any, error) {
		if alg != jwt.SigningMethodHS256.Alg() {
			return nil, errAlgorithm
		}
		return set, nil
	}
	return Keys{Methods: []string{jwt.SigningMethodHS256.Alg()}, Find: find}, nil
}
