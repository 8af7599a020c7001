//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/confab-chat/confab/shared/devtoken"
)

const (
	// usersPerSource keeps the users of generators with different -source apart.
	usersPerSource = 1_000_000
	// tokenLifetime is longer than any run.
	tokenLifetime = 24 * time.Hour
	// dataDir is where the all-in-one keeps its secret, in the folder it was started in.
	dataDir = ".confab"
)

// newTokens returns a function that signs a token for user load-<first + number>. It is
// safe for concurrent use.
func newTokens(secret string, first int) (func(number int) string, error) {
	if secret == "" {
		var err error
		if secret, err = findSecret("."); err != nil {
			return nil, err
		}
	}
	return func(number int) string {
		id := fmt.Sprintf("load-%d", first+number)
		return devtoken.Mint([]byte(secret), id, id, time.Now(), tokenLifetime)
	}, nil
}

// findSecret returns the secret of a development server that runs in dir or in a folder
// above it. It creates none.
func findSecret(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		data := filepath.Join(dir, dataDir)
		if _, err := os.Stat(filepath.Join(data, devtoken.SecretFile)); !errors.Is(err, fs.ErrNotExist) {
			secret, err := devtoken.Secret(data)
			return string(secret), err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no secret for tokens: give -secret or %s, or run below the folder of a development server", secretVariable)
		}
		dir = parent
	}
}
