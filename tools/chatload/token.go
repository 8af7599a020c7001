package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/confab-chat/confab/shared/devtoken"
)

// tokenLife is long enough for any run.
const tokenLife = 24 * time.Hour

// dataDir is where an all-in-one that was started here keeps its secret.
const dataDir = ".confab"

// developmentSecret is that secret, empty when there is none.
func developmentSecret(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, devtoken.SecretFile)); errors.Is(err, fs.ErrNotExist) {
		return "", nil // Secret would make one
	}
	secret, err := devtoken.Secret(dir)
	return string(secret), err
}

// tokens signs for user load-<first + number>, or asks the edge when there is no secret:
// once, because it is slow, so that all connections are the same user.
func tokens(ctx context.Context, secret string, edge netip.AddrPort, secure *tls.Config, first int) (func(number int) string, error) {
	if secret == "" {
		token, err := developmentToken(ctx, edge, secure)
		return func(int) string { return token }, err
	}
	return func(number int) string {
		id := fmt.Sprintf("load-%d", first+number)
		return devtoken.Mint([]byte(secret), id, id, time.Now(), tokenLife)
	}, nil
}

// developmentToken asks an edge outside production for a token.
func developmentToken(ctx context.Context, edge netip.AddrPort, secure *tls.Config) (string, error) {
	url := "http://" + edge.String() + "/dev/token"
	client := http.Client{Transport: &http.Transport{TLSClientConfig: secure}}
	defer client.CloseIdleConnections()
	if secure != nil {
		url = "https://" + edge.String() + "/dev/token"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(`{"name":"load"}`)))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ Token, Message string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s %s (in production give -secret)", url, resp.Status, answer.Message)
	}
	return answer.Token, nil
}
