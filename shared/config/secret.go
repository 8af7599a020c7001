package config

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// redacted replaces every secret in printed text.
const redacted = "[redacted]"

// fileSuffix ends the name of the variable that holds the path of a secret file.
const fileSuffix = "_FILE"

// maxSecretBytes bounds a secret file: a key set is a few KiB, /dev/zero is endless.
const maxSecretBytes = 64 << 10

// Secret is a setting that only [Secret.Value] reveals: fmt, slog and encoding/json
// print [redacted]. The zero value is not set.
type Secret struct{ value *string } // a pointer: of an unexported Secret fmt prints only the address

// NewSecret returns a secret with the given value.
func NewSecret(value string) Secret { return Secret{&value} }

// Value returns the secret itself, or "" when not set.
func (s Secret) Value() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet reports whether the secret has a value.
func (s Secret) IsSet() bool { return s.Value() != "" }

// String returns [redacted], or "" when not set.
func (s Secret) String() string {
	if !s.IsSet() {
		return ""
	}
	return redacted
}

// GoString is what %#v prints.
func (s Secret) GoString() string { return s.String() }

// LogValue is what slog prints.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what encoders print.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText sets the secret.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// readSecretFile reads the secret of the variable name from a file. A reason, in
// words for people, says why it cannot be read.
func readSecretFile(name, path string) (content, reason string) {
	content, err := readSecret(path)
	if err != nil {
		return "", "cannot be read from " + name + fileSuffix + ": " + err.Error()
	}
	return content, ""
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecretBytes {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxSecretBytes)
	}
	// Editors and echo end a file with one line break; more belong to the secret.
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}
