package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenSource gives client i its token: signed here, or asked of the edge.
func tokenSource(o options, i int) func(context.Context) (string, error) {
	name := fmt.Sprintf("load %d", i)
	if o.secret == "" {
		return func(ctx context.Context) (string, error) { return devToken(ctx, o.url, name) }
	}
	return func(context.Context) (string, error) {
		return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": fmt.Sprintf("load-%d", i), "username": name, "exp": time.Now().Add(24 * time.Hour).Unix(),
		}).SignedString([]byte(o.secret))
	}
}

// devToken asks an edge outside production for a token.
func devToken(ctx context.Context, edge, name string) (string, error) {
	u, err := url.Parse(edge)
	if err != nil {
		return "", err
	}
	u.Scheme, u.Path = map[string]string{"ws": "http", "wss": "https"}[u.Scheme], "/dev/token"
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ Token, Message string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s %s (in production give -secret)", u, resp.Status, answer.Message)
	}
	return answer.Token, nil
}
