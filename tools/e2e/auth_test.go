package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/shared/devtoken"
)

// unusable are tokens that must not be taken, and how they are refused.
func (sc *scene) unusable() map[string]struct {
	token string
	code  code.Code
	close string
} {
	sign := func(m jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		s, err := jwt.NewWithClaims(m, claims).SignedString(key)
		if err != nil {
			sc.Fatal(err)
		}
		return s
	}
	later := time.Now().Add(time.Hour).Unix()
	good := jwt.MapClaims{"sub": sc.id("ann"), "exp": later}
	claims := func(more jwt.MapClaims) string { return sign(jwt.SigningMethodHS256, sc.secret, more) }
	valid := sc.token("ann", time.Hour)
	type row = struct {
		token string
		code  code.Code
		close string
	}
	bad := func(token string) row { return row{token, code.Unauthorized, "4500"} }
	return map[string]row{
		"none":              {"", code.Unauthorized, "4501"},
		"expired":           {sc.token("ann", -time.Minute), code.TokenExpired, "4001"},
		"garbage":           bad("x"),
		"cut off":           bad(valid[:len(valid)-3]),
		"other secret":      bad(devtoken.Mint([]byte(strings.Repeat("x", 32)), "ann", "Ann", time.Now(), time.Hour)),
		"alg none":          bad(sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good)),
		"HS512":             bad(sign(jwt.SigningMethodHS512, sc.secret, good)),
		"no exp":            bad(claims(jwt.MapClaims{"sub": "ann"})),
		"exp as text":       bad(claims(jwt.MapClaims{"sub": "ann", "exp": fmt.Sprint(later)})),
		"exp out of bounds": bad(claims(jwt.MapClaims{"sub": "ann", "exp": 1e20})),
		"not yet":           bad(claims(jwt.MapClaims{"sub": "ann", "exp": later, "nbf": later - 600})),
		"no sub":            bad(claims(jwt.MapClaims{"exp": later})),
		"sub with blank":    bad(claims(jwt.MapClaims{"sub": "a b", "exp": later})),
		"sub too long":      bad(claims(jwt.MapClaims{"sub": strings.Repeat("x", 129), "exp": later})),
		"sub as fraction":   bad(claims(jwt.MapClaims{"sub": 7.5, "exp": later})),
		"crit":              bad(devtoken.Sign(sc.secret, b64(`{"alg":"HS256","crit":["x"],"x":1}`), b64(fmt.Sprintf(`{"sub":"ann","exp":%d}`, later)))),
		"long":              bad(claims(jwt.MapClaims{"sub": "ann", "exp": later, "pad": strings.Repeat("x", 5000)})),
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func (contract) AuthRefusals(sc *scene) {
	for name, c := range sc.unusable() {
		var header []string
		if c.token != "" {
			header = []string{"Authorization: Bearer " + c.token}
		}
		x, resp := sc.upgrade("ann", options{}, handshake{header: header})
		if x != nil {
			sc.Errorf("%s: taken", name)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			sc.Error(err)
		}
		if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" {
			sc.Errorf("%s: %s %v", name, resp.Status, resp.Header)
		}
		if err := match("body", decode(sc, failure(c.code, "")), decode(sc, string(body))); err != nil {
			sc.Errorf("%s: %v: %s", name, err, body)
		}
		// Scripts in browsers do not see that status.
		x, resp = sc.upgrade("ann", options{presence: true, pings: true}, handshake{header: append(header, "Origin: https://app.example")})
		if x == nil {
			sc.Errorf("%s, browser: %s", name, resp.Status)
			continue
		}
		if f := x.next(); f.Event != "close" || string(f.Data) != c.close {
			sc.Errorf("%s, browser: %s, want close %s", name, f, c.close)
		}
	}
}

func (contract) AuthPlaces(sc *scene) {
	good, bad := sc.token("ann", time.Hour), "x.y.z"
	for name, c := range map[string]struct {
		h        handshake
		ok       bool
		protocol string // selected
	}{
		"header":                  {handshake{header: []string{"Authorization: Bearer " + good}}, true, ""},
		"header, lower case":      {handshake{header: []string{"authorization: bearer " + good}}, true, ""},
		"header, and a protocol":  {handshake{header: []string{"Authorization: Bearer " + good, "Sec-WebSocket-Protocol: confab.v1"}}, true, "confab.v1"},
		"subprotocol":             {handshake{header: []string{"Sec-WebSocket-Protocol: confab.v1, confab.token." + good}}, true, "confab.v1"},
		"subprotocol, first":      {handshake{header: []string{"Sec-WebSocket-Protocol: confab.token." + good + ", confab.v1"}}, true, "confab.v1"},
		"unknown protocol":        {handshake{header: []string{"Authorization: Bearer " + good, "Sec-WebSocket-Protocol: other"}}, true, ""},
		"query":                   {handshake{query: "?a=b&token=" + good}, true, ""},
		"header before the rest":  {handshake{header: []string{"Authorization: Bearer " + bad, "Sec-WebSocket-Protocol: confab.v1, confab.token." + good}}, false, ""},
		"protocol before query":   {handshake{query: "?token=" + good, header: []string{"Sec-WebSocket-Protocol: confab.v1, confab.token." + bad}}, false, ""},
		"basic authentication":    {handshake{header: []string{"Authorization: Basic YTpi"}}, false, ""},
		"cookie":                  {handshake{header: []string{"Cookie: token=" + good}}, false, ""},
		"browser, any origin":     {handshake{header: []string{"Authorization: Bearer " + good, "Origin: https://anywhere.example"}}, true, ""},
		"browser with null":       {handshake{header: []string{"Authorization: Bearer " + good, "Origin: null"}}, false, ""},
		"two headers":             {handshake{header: []string{"Authorization: Bearer " + good, "Authorization: Bearer " + good}}, false, ""},
		"query without its value": {handshake{query: "?token="}, false, ""},
	} {
		x, resp := sc.upgrade("ann", options{}, c.h)
		if ok := x != nil; ok != c.ok {
			sc.Errorf("%s: %s", name, resp.Status)
			continue
		}
		if x == nil {
			continue
		}
		if p := resp.Header.Get("Sec-WebSocket-Protocol"); p != c.protocol {
			sc.Errorf("%s: selected %q", name, p)
		}
		x.do("heartbeat")
		x.want("re heartbeatResponse")
	}
}

func (contract) Refresh(sc *scene) {
	c := sc.conn("ann")
	c.do(`refreshToken {"token":"` + sc.token("ann", 2*time.Hour) + `"}`)
	c.want(`re tokenRefreshed {"success":true,"expiresAt":"<time>"}`)
	c.do("heartbeat")
	c.want("re heartbeatResponse")
	for name, token := range map[string]string{
		"another user": sc.token("bob", time.Hour), "garbage": "x", "expired": sc.token("ann", -time.Hour),
		"other secret": devtoken.Mint([]byte(strings.Repeat("x", 32)), sc.id("ann"), "ANN", time.Now(), time.Hour),
	} {
		c := sc.conn("ann")
		c.do(`refreshToken {"token":"` + token + `"}`)
		k := code.Unauthorized
		if name == "expired" {
			k = code.TokenExpired
		}
		f := c.want("re error "+failure(k, "refreshToken"), "close 4500")
		if strings.Contains(f.String(), token) {
			sc.Errorf("%s: the token is told", name)
		}
	}
}

// Expiry: of two connections with the same short life the one that was given a new
// token is there when the other one has been closed.
func (contract) Expiry(sc *scene) {
	life := time.Second
	refreshed, left, ok := sc.shortLived(life)
	for !ok && life < time.Minute { // the machine was too slow for so short a life
		life *= 2
		refreshed, left, ok = sc.shortLived(life)
	}
	if !ok {
		sc.Fatalf("a token of %v cannot be replaced", life)
	}
	left.want("close 4001")
	refreshed.do("heartbeat")
	refreshed.want("re heartbeatResponse")
}

// shortLived opens two connections with tokens that expire after life, and gives the first
// one a new token. It returns false if the first expires before that.
func (sc *scene) shortLived(life time.Duration) (refreshed, left *conn, ok bool) {
	sc.Helper()
	var both []*conn
	for range 2 {
		c, _ := sc.upgrade("ann", options{}, handshake{header: []string{"Authorization: Bearer " + sc.token("ann", life)}})
		if c == nil {
			return nil, nil, false
		}
		both = append(both, c)
	}
	both[0].do(`refreshToken {"token":"` + sc.token("ann", time.Hour) + `"}`)
	return both[0], both[1], both[0].differs("re tokenRefreshed", both[0].next()) == nil
}

func (contract) DevToken(sc *scene) {
	status, body := sc.fetch(http.MethodPost, "http://"+sc.s.Edge+"/dev/token", `{"name":" Ann of Green Gables "}`)
	if status != http.StatusOK {
		sc.Fatalf("%d %s", status, body)
	}
	if err := match("body", decode(sc, `{"token":"<text>","userId":"<text>","username":"Ann of Green Gables","expiresAt":"<time>"}`), decode(sc, body)); err != nil {
		sc.Fatal(err)
	}
	var answer struct{ Token, UserID string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		sc.Fatal(err)
	}
	c, resp := sc.upgrade("ann", options{}, handshake{header: []string{"Authorization: Bearer " + answer.Token}})
	if c == nil {
		sc.Fatal(resp.Status)
	}
	c.do("heartbeat")
	if f := c.want("re heartbeatResponse"); f.text("userId") != answer.UserID {
		sc.Errorf("the token is %s's", f.text("userId"))
	}
	for _, wrong := range []string{``, `{`, `{"name":""}`, `{"name":" \u200b "}`, `{"name":7}`, `[]`, `{"name":"` + strings.Repeat("x", 10000) + `"}`} {
		status, body := sc.fetch(http.MethodPost, "http://"+sc.s.Edge+"/dev/token", wrong)
		if err := match("body", decode(sc, failure(code.BadRequest, "")), decode(sc, body)); status != http.StatusBadRequest || err != nil {
			sc.Errorf("%.20s: %d %v", wrong, status, err)
		}
	}
}

// TestProduction is what production refuses.
func TestProduction(t *testing.T) {
	const secret = "a-production-secret-of-more-than-32-bytes"
	run(t, map[string]func(*scene){"production": func(sc *scene) {
		sc.secret = []byte(secret)
		bearer := "Authorization: Bearer " + sc.token("ann", time.Hour)
		for origin, ok := range map[string]bool{
			"": true, "https://chat.example.com": true, "HTTPS://Chat.Example.com": true, "https://a.wild.example": true,
			"https://chat.example.com.evil.com": false, "https://evilchat.example.com": false, "http://chat.example.com": false,
			"https://chat.example.com:8443": false, "https://chat.example.com.": false, "https://wild.example": false,
			"https://wild.example.evil": false, "null": false, "*": false, "https://evil.example": false,
		} {
			header := []string{bearer}
			if origin != "" {
				header = append(header, "Origin: "+origin)
			}
			c, resp := sc.upgrade("ann", options{}, handshake{header: header})
			switch {
			case ok && c == nil:
				sc.Errorf("origin %q: %s", origin, resp.Status)
			case ok:
				c.do("heartbeat")
				c.want("re heartbeatResponse")
			case c != nil || resp.StatusCode != http.StatusForbidden:
				sc.Errorf("origin %q: %s", origin, resp.Status)
			}
		}
		if c, resp := sc.upgrade("ann", options{}, handshake{query: "?token=" + sc.token("ann", time.Hour)}); c != nil || resp.StatusCode != 401 {
			sc.Errorf("token in the query: %s", resp.Status)
		}
		for request, method := range map[string]string{"/": "GET", "/app.js": "GET", "/dev/token": "POST", "/conformance/echo": "GET"} {
			if status, body := sc.fetch(method, "http://"+sc.s.Edge+request, `{"name":"x"}`); status != http.StatusNotFound {
				sc.Errorf("%s %s: %d %.80s", method, request, status, body)
			}
		}
		for _, port := range []string{sc.s.Edge, sc.s.Monitor} {
			for origin, want := range map[string]string{"https://chat.example.com": "https://chat.example.com", "https://evil.example": ""} {
				header := sc.head("http://"+port+"/websocket/health", origin)
				if got := header.Get("Access-Control-Allow-Origin"); got != want || !strings.Contains(header.Get("Vary"), "Origin") {
					sc.Errorf("%s from %s: allowed %q, Vary %q", port, origin, got, header.Get("Vary"))
				}
			}
		}
		// Presence stays in the room, and limits are production's.
		ann, bob := sc.withPresence("ann"), sc.withPresence("bob")
		ann.join("#r")
		bob.do("heartbeat")
		bob.want("re heartbeatResponse") // no userOnline
		for i := range 30 {
			ann.says("#r", "x", i+1)
		}
		ann.refused(code.RateLimited, `sendMessage {"roomId":"#r","content":"x"}`)
	}}, "CONFAB_ENV=production", "CONFAB_AUTH_HMAC_SECRET="+secret, "CONFAB_ALLOWED_ORIGINS=https://chat.example.com, https://*.wild.example",
		"CONFAB_DRAIN_DELAY=0s", "CONFAB_DRAIN_WINDOW=1s")
}
