package config

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// redacted stands for every secret in whatever is printed.
const redacted = "[redacted]"

// fileSuffix makes the name of the variable that says which file has the secret.
const fileSuffix = "_FILE"

// maxSecretBytes bounds a secret file: a key set is a few KiB, /dev/zero is endless.
const maxSecretBytes = 64 << 10

// Secret is a setting that shows itself to [Secret.Value] only: fmt, slog and
// encoding/json print [redacted]. The zero value is not set.
type Secret struct{ value *string } // behind a pointer, which is all that fmt finds in a struct it may not call into

// NewSecret returns a secret, for tests and for secrets made at start.
func NewSecret(value string) Secret { return Secret{&value} }

// Value is the secret itself; empty when not set.
func (s Secret) Value() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet tells whether there is one.
func (s Secret) IsSet() bool { return s.Value() != "" }

// String is [redacted], or empty when not set.
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

// readSecretFile reads the secret of a variable from the file that its twin names.
// reason says, for people, why that cannot be.
func (l *loader) readSecretFile(name string) (content string, found bool, reason string) {
	path, isSet := l.given[name+fileSuffix]
	if !isSet {
		return "", false, ""
	}
	if l.given[name] != "" {
		return "", false, "and " + name + fileSuffix + " are both set; one is enough"
	}
	content, err := readSecret(path)
	if err != nil {
		return "", false, "cannot be read from " + name + fileSuffix + ": " + err.Error()
	}
	return content, true, ""
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
	// Editors and echo end a file with one line break; more is the secret's own.
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}
