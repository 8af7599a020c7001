package event

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/wire"
)

// Limits of ids.
const (
	MaxRoomID   = 64  // characters, all of them ASCII
	MaxUserID   = 128 // bytes
	MaxClientID = 64  // characters, all of them ASCII
)

// RoomID names a room: 1 to MaxRoomID characters of A-Z a-z 0-9 _ - . : /.
type RoomID = string

// UserID is the sub of the user's token: 1 to MaxUserID bytes of visible characters.
type UserID = wire.UserID

// ClientMessageID is the sender's own name of a message: 1 to MaxClientID visible
// ASCII characters. The same one from the same user in the same room is one
// message, however often it is sent.
type ClientMessageID = string

// ValidRoomID reports whether id is 1 to 64 characters of A-Z a-z 0-9 _ - . : /.
func ValidRoomID(id string) bool {
	if id == "" || len(id) > MaxRoomID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_', c == '-', c == '.', c == ':', c == '/':
		default:
			return false
		}
	}
	return true
}

// ValidUserID reports whether id is 1 to 128 bytes of visible characters without spaces.
func ValidUserID(id string) bool {
	if id == "" || len(id) > MaxUserID || !utf8.ValidString(id) {
		return false
	}
	for _, c := range id {
		if c == ' ' || !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}

// ValidClientID reports whether id is 1 to 64 visible ASCII characters.
func ValidClientID(id string) bool {
	if id == "" || len(id) > MaxClientID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

func checkRoomID(field, id string) error {
	if !ValidRoomID(id) {
		return code.New(code.BadRequest, "%s must be 1 to %d characters of A-Z a-z 0-9 _ - . : /", field, MaxRoomID)
	}
	return nil
}

// base32Hex are the digits of strconv's base 32.
const base32Hex = "0123456789abcdefghijklmnopqrstuv"

// hashChars is how many characters 64 bits take in base32.
const hashChars = 13

// MessageID is the id of a message: its seq in base 36, a dash, and a hash of what
// makes the message this one, so that an id of another room or of a guessed seq is
// not found. It is opaque to clients, stored in the log, and must never change.
func MessageID(room string, seq, atMs uint64, user string) string {
	h := fnv64(fnvOffset, room)
	h = fnvWord(h, seq)
	h = fnvWord(h, atMs)
	h = fnv64(h, user)
	// FNV spreads the last bytes badly: mix as SplitMix64 does.
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	h ^= h >> 31

	var digits [hashChars]byte
	sum := strconv.AppendUint(digits[:0], h, 32)
	b := make([]byte, 0, 32)
	b = append(strconv.AppendUint(b, seq, 36), '-')
	b = append(b, "0000000000000"[len(sum):]...)
	return string(append(b, sum...))
}

// SeqOf is the seq that a message id carries; false when MessageID cannot have made it.
func SeqOf(id string) (uint64, bool) {
	number, hash, ok := strings.Cut(id, "-")
	if !ok || len(hash) != hashChars || strings.Trim(hash, base32Hex) != "" || hash[0] > 'f' {
		return 0, false
	}
	seq, err := strconv.ParseUint(number, 36, 64)
	if err != nil || seq == 0 || strconv.FormatUint(seq, 36) != number {
		return 0, false
	}
	return seq, true
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// fnv64 is FNV-1a over s and its length, so that ("ab", "c") differs from ("a", "bc").
func fnv64(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return fnvWord(h, uint64(len(s)))
}

func fnvWord(h, n uint64) uint64 {
	for range 8 {
		h = (h ^ n&0xff) * fnvPrime
		n >>= 8
	}
	return h
}
