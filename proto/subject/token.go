package subject

import (
	"encoding/base64"
	"errors"
)

// ErrToken is returned when a token was not made by this package.
var ErrToken = errors.New("not an id token")

// Token turns an arbitrary id into one subject token: r<id> when the id is
// plain (A-Z a-z 0-9 _ -), else b<base64url(id)>. The leading letter makes the
// map injective: no raw id can imitate an encoded one.
func Token(id string) string {
	if plain(id) {
		return "r" + id
	}
	return "b" + base64.RawURLEncoding.EncodeToString([]byte(id))
}

// ID is the inverse of Token. It returns ErrToken for anything Token cannot have made.
func ID(token string) (string, error) {
	if len(token) < 2 {
		return "", ErrToken
	}
	switch token[0] {
	case 'r':
		if plain(token[1:]) {
			return token[1:], nil
		}
	case 'b':
		// Compared with its own token: the decoder lets line breaks and stray bits pass.
		raw, err := base64.RawURLEncoding.DecodeString(token[1:])
		if id := string(raw); err == nil && Token(id) == token {
			return id, nil
		}
	}
	return "", ErrToken
}

// Shard is the shard of an id: fnv32a(Token(id)) mod [Shards]. It equals what
// the NATS subject mapping partition(64, ...) computes over the token.
func Shard(id string) int {
	if plain(id) {
		return int(fnv32a(fnv32a(fnvOffset, "r"), id) % Shards) // without making the token
	}
	return ShardOf(Token(id))
}

// ShardOf is the shard of a token that is at hand already.
func ShardOf(token string) int { return int(fnv32a(fnvOffset, token) % Shards) }

const fnvOffset = 2166136261

func fnv32a(h uint32, s string) uint32 {
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

func plain(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
