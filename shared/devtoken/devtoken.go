// Package devtoken makes tokens for development and tests: HS256, signed with a
// secret in a file that only its owner can read. Production tokens come from an
// identity provider, without this package.
package devtoken

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// SecretFile is the secret's name inside the data folder.
	SecretFile = "dev-secret"
	// MinSecret is the shortest HMAC secret that Confab accepts, in bytes
	// (RFC 7518, section 3.2: the hash's length).
	MinSecret = 32
)

// ErrSecret is returned by Secret for a file without a usable secret.
var ErrSecret = errors.New("secret is shorter than 32 bytes")

// header is {"alg":"HS256","typ":"JWT"}.
const header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

// Mint returns a token for the user id sub with a display name (left out when
// empty), valid from now for ttl. The times have a second's resolution.
func Mint(secret []byte, sub, name string, now time.Time, ttl time.Duration) string {
	claims := struct {
		Sub  string `json:"sub"`
		Name string `json:"username,omitempty"`
		Iat  int64  `json:"iat"`
		Exp  int64  `json:"exp"`
	}{sub, name, now.Unix(), now.Add(ttl).Unix()}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err) // strings and integers always encode
	}
	return Sign(secret, header, base64.RawURLEncoding.EncodeToString(payload))
}

// Sign joins a header and a payload, both in base64url, with their HS256
// signature (RFC 7515, section 7.1).
func Sign(secret []byte, header, payload string) string {
	signed := header + "." + payload
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Secret returns the development secret of the data folder dir. It creates folder
// (0700) and file (0600) if needed. Several processes may call it at once: all get
// the same secret. It returns ErrSecret for a file that is too short, or the
// system's error.
func Secret(dir string) ([]byte, error) {
	path := filepath.Join(dir, SecretFile)
	secret, err := read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := create(dir, path); err != nil {
		return nil, fmt.Errorf("make development secret: %w", err)
	}
	return read(path)
}

func read(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read development secret: %w", err)
	}
	s := strings.TrimSuffix(string(b), "\n")
	if len(s) < MinSecret {
		return nil, fmt.Errorf("read development secret %s: %w", path, ErrSecret)
	}
	return []byte(s), nil
}

// create writes a complete temporary file and then links it to its name, which
// succeeds only for the first process.
func create(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, SecretFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(newSecret() + "\n")
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func newSecret() string {
	b := make([]byte, MinSecret)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
