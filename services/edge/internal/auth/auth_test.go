package auth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/confab-chat/confab/proto/code"
	"github.com/confab-chat/confab/proto/event"
	"github.com/confab-chat/confab/services/edge/internal/auth"
	"github.com/confab-chat/confab/shared/devtoken"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// now is the clock of all these tests.
var now = time.Unix(1_700_000_000, 0)

func verifier(tb testing.TB, o auth.Options, secrets ...[]byte) *auth.JWT {
	tb.Helper()
	if secrets == nil {
		secrets = [][]byte{secret}
	}
	keys, err := auth.HMAC(secrets...)
	if err != nil {
		tb.Fatal(err)
	}
	o.Now = func() time.Time { return now }
	v, err := auth.New(keys, o)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign makes a token of raw JSON, signed with HS256 whatever the header says.
func sign(header, claims string) string { return devtoken.Sign(secret, b64(header), b64(claims)) }

const hs256 = `{"alg":"HS256","typ":"JWT"}`

func TestVerify(t *testing.T) {
	t.Parallel()
	claims := func(s string) string { return sign(hs256, s) }
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	future := fmt.Sprintf(`,"exp":%d}`, at(time.Hour))
	const ok, bad, expired = code.Code(""), code.Unauthorized, code.TokenExpired
	for _, c := range []struct {
		name  string
		token string
		want  code.Code
	}{
		{"minted", devtoken.Mint(secret, "alice", "Alice", now, time.Hour), ok},
		{"minimal", claims(`{"sub":"a"` + future), ok},
		{"other secret", devtoken.Mint([]byte(strings.Repeat("x", 32)), "alice", "", now, time.Hour), bad},
		{"empty", "", bad},
		{"garbage", "a.b.c", bad},
		{"two parts", "a.b", bad},
		{"four parts", devtoken.Mint(secret, "alice", "", now, time.Hour) + ".x", bad},
		{"signature cut", devtoken.Mint(secret, "alice", "", now, time.Hour)[:100], bad},
		{"padded", devtoken.Mint(secret, "alice", "", now, time.Hour) + "=", bad},
		{"claims are no object", claims(`["sub"]`), bad},

		{"alg none", b64(`{"alg":"none"}`) + "." + b64(`{"sub":"a"`+future) + ".", bad},
		{"alg None, signed", sign(`{"alg":"None"}`, `{"sub":"a"`+future), bad},
		{"alg nOnE, signed", sign(`{"alg":"nOnE"}`, `{"sub":"a"`+future), bad},
		{"alg none, signed", sign(`{"alg":"none"}`, `{"sub":"a"`+future), bad},
		{"alg empty", sign(`{"alg":""}`, `{"sub":"a"`+future), bad},
		{"alg missing", sign(`{}`, `{"sub":"a"`+future), bad},
		{"alg HS512 where HS256 is configured", hs512(t), bad},
		{"alg RS256", sign(`{"alg":"RS256"}`, `{"sub":"a"`+future), bad},
		{"alg is a number", sign(`{"alg":256}`, `{"sub":"a"`+future), bad},
		{"unknown crit", sign(`{"alg":"HS256","crit":["b64"],"b64":false}`, `{"sub":"a"`+future), bad},
		{"crit null", sign(`{"alg":"HS256","crit":null}`, `{"sub":"a"`+future), bad},
		{"jku, x5u, jwk are not followed", sign(`{"alg":"HS256","jku":"http://127.0.0.1:1/","x5u":"x","jwk":{}}`, `{"sub":"a"`+future), ok},
		{"kid is a path", sign(`{"alg":"HS256","kid":"../../etc/passwd"}`, `{"sub":"a"`+future), ok},

		{"no exp", claims(`{"sub":"a"}`), bad},
		{"exp null", claims(`{"sub":"a","exp":null}`), bad},
		{"expired", claims(fmt.Sprintf(`{"sub":"a","exp":%d}`, at(-time.Minute))), expired},
		{"expires now", claims(fmt.Sprintf(`{"sub":"a","exp":%d}`, at(0))), expired},
		{"expires in a second", claims(fmt.Sprintf(`{"sub":"a","exp":%d}`, at(time.Second))), ok},
		{"expired, other secret", devtoken.Mint([]byte(strings.Repeat("x", 32)), "alice", "", now.Add(-time.Hour), time.Minute), bad},
		{"exp as string", claims(fmt.Sprintf(`{"sub":"a","exp":"%d"}`, at(time.Hour))), bad},
		{"past exp as string", claims(`{"sub":"a","exp":"1"}`), bad},
		{"exp as float", claims(fmt.Sprintf(`{"sub":"a","exp":%d.5}`, at(time.Hour))), ok},
		{"exp as float, in this second", claims(fmt.Sprintf(`{"sub":"a","exp":%d.9}`, at(0))), expired},
		{"exp a fraction of the first second", claims(`{"sub":"a","exp":0.5}`), bad},
		{"exp 1e20", claims(`{"sub":"a","exp":1e20}`), bad},
		{"exp 1e400", claims(`{"sub":"a","exp":1e400}`), bad},
		{"exp 2^63-1", claims(`{"sub":"a","exp":9223372036854775807}`), bad},
		{"exp 0", claims(`{"sub":"a","exp":0}`), bad},
		{"exp negative", claims(`{"sub":"a","exp":-1}`), bad},
		{"nbf in the future", claims(fmt.Sprintf(`{"sub":"a","nbf":%d`, at(time.Minute)) + future), bad},
		{"nbf in the past", claims(fmt.Sprintf(`{"sub":"a","nbf":%d`, at(-time.Minute)) + future), ok},
		{"nbf as string", claims(`{"sub":"a","nbf":"1"` + future), bad},
		{"nbf 1e20", claims(`{"sub":"a","nbf":1e20` + future), bad},
		{"iat in the future", claims(fmt.Sprintf(`{"sub":"a","iat":%d`, at(time.Minute)) + future), bad},
		{"iat as float", claims(fmt.Sprintf(`{"sub":"a","iat":%d.25`, at(-time.Minute)) + future), ok},
		{"expired and not valid yet", claims(fmt.Sprintf(`{"sub":"a","nbf":%d,"exp":%d}`, at(time.Minute), at(-time.Minute))), bad},

		{"no sub", claims(`{"name":"a"` + future), bad},
		{"sub empty", claims(`{"sub":""` + future), bad},
		{"sub is a number", claims(`{"sub":7` + future), ok},
		{"sub is a fraction", claims(`{"sub":7.5` + future), bad},
		{"sub is too large a number", claims(`{"sub":9007199254740993` + future), bad},
		{"sub with a space", claims(`{"sub":"a b"` + future), bad},
		{"sub with a control character", claims(`{"sub":"a\u0000"` + future), bad},
		{"sub with a newline", claims(`{"sub":"a\n"` + future), bad},
		{"sub zero-width", claims(`{"sub":"a\u200b"` + future), bad},
		{"sub of 128 bytes", claims(`{"sub":"` + strings.Repeat("a", 128) + `"` + future), ok},
		{"sub of 129 bytes", claims(`{"sub":"` + strings.Repeat("a", 129) + `"` + future), bad},
		{"sub beyond ASCII", claims(`{"sub":"auth0|Ünïcode"` + future), ok},
		{"SUB is not sub", claims(`{"SUB":"root"` + future), bad},

		// A duplicate key in the header passes (ADR 0010): the last one counts, for the
		// algorithm that is checked as well.
		{"alg twice", sign(`{"alg":"HS256","alg":"HS256"}`, `{"sub":"a"`+future), ok},
		{"alg twice, once escaped", sign(`{"alg":"none","\u0061lg":"HS256"}`, `{"sub":"a"`+future), ok},
		{"alg twice, none at last", sign(`{"alg":"HS256","alg":"none"}`, `{"sub":"a"`+future), bad},
		// Claims that two readers could understand differently are refused.
		{"Alg is not alg", sign(`{"Alg":"HS256"}`, `{"sub":"a"`+future), bad},
		{"alg and ALG", sign(`{"alg":"HS256","ALG":"none"}`, `{"sub":"a"`+future), ok},
		{"kid is a number", sign(`{"alg":"HS256","kid":7}`, `{"sub":"a"`+future), bad},
		{"header null", sign(`null`, `{"sub":"a"`+future), bad},
		{"header and more", sign(`{"alg":"HS256"}{}`, `{"sub":"a"`+future), bad},
		{"header behind a byte order mark", sign("\xef\xbb\xbf"+`{"alg":"HS256"}`, `{"sub":"a"`+future), bad},
		{"sub twice", claims(`{"sub":"a","sub":"root"` + future), bad},
		{"sub twice, once escaped", claims(`{"sub":"a","\u0073ub":"root"` + future), bad},
		{"exp twice", claims(`{"sub":"a","exp":9999999999` + future), bad},
		{"an unused claim, twice", claims(`{"sub":"a","x":1,"x":1` + future), bad},
		{"a key twice further in", claims(`{"sub":"a","x":[{"y":1,"y":2}]` + future), bad},
		{"EXP is not exp", claims(fmt.Sprintf(`{"sub":"a","EXP":%d}`, at(time.Hour))), bad},
		{"sub escaped", claims(`{"\u0073ub":"\u0061"` + future), ok},
		{"sub null", claims(`{"sub":null` + future), bad},
		{"iss is a number", claims(`{"sub":"a","iss":7` + future), bad},
		{"aud is an object", claims(`{"sub":"a","aud":{}` + future), bad},
		{"aud of mixed types", claims(`{"sub":"a","aud":["x",7]` + future), bad},
		{"nbf null", claims(`{"sub":"a","nbf":null` + future), bad},
		{"iat true", claims(`{"sub":"a","iat":true` + future), bad},
		{"iat of year 10000", claims(`{"sub":"a","iat":-253402300800` + future), bad},
		{"claims null", claims(`null`), bad},
		{"claims and more", claims(`{"sub":"a"` + future + `{}`), bad},
		{"claims and a space", claims(`{"sub":"a"` + future + ` `), ok},
		{"claims cut", claims(`{"sub":"a"` + future[:len(future)-1]), bad},
		{"claims behind a byte order mark", claims("\xef\xbb\xbf" + `{"sub":"a"` + future), bad},
		{"invalid UTF-8", claims(`{"sub":"a","x":"` + "\xff" + `"` + future), bad},
		{"half of a surrogate pair", claims(`{"sub":"a","x":"\ud83d"` + future), bad},
		{"a comment", claims(`{"sub":"a"/**/` + future), bad},
		{"16 levels", claims(`{"sub":"a","x":` + nested(15) + future), ok},
		{"17 levels", claims(`{"sub":"a","x":` + nested(16) + future), bad},
		{"64 claims", claims(`{"sub":"a"` + strings.Join(many(62), "") + future), ok},
		{"65 claims", claims(`{"sub":"a"` + strings.Join(many(63), "") + future), bad},
		{"1 MB", sign(hs256, `{"sub":"a","x":"`+strings.Repeat("x", 1<<20)+`"`+future), bad},
		{"4 KiB and one", strings.Repeat("x", 4097), bad},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			id, err := verifier(t, auth.Options{}).Verify(c.token)
			var got code.Code
			if err != nil {
				got = code.Of(err)
				if id != (auth.Identity{}) {
					t.Errorf("an identity beside an error: %+v", id)
				}
			}
			if got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

// nested is an array in an array ..., of that many levels.
func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// many is a token with many claims that are not read.
func many(n int) (claims []string) {
	for i := range n {
		claims = append(claims, fmt.Sprintf(`,"x%d":%d`, i, i))
	}
	return claims
}

func hs512(tb testing.TB) string {
	tb.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS512, jwt.MapClaims{"sub": "a", "exp": now.Add(time.Hour).Unix()}).SignedString(secret)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestPublicKeyAsSecret is the classic confusion: an HS256 token signed with
// the text of an RSA public key.
func TestPublicKeyAsSecret(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	careless := auth.Keys{
		Methods: []string{"RS256", "HS256"},
		Find:    func(string, string) (any, error) { return &key.PublicKey, nil }, // for any algorithm
	}
	v, err := auth.New(careless, auth.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	forged := devtoken.Mint(text, "root", "", now, time.Hour)
	if _, err := v.Verify(forged); code.Of(err) != code.Unauthorized {
		t.Errorf("forged token: %v", err)
	}
	honest, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"sub": "a", "exp": now.Add(time.Hour).Unix()}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(honest); err != nil {
		t.Errorf("honest token: %v", err)
	}
}

// TestMethods checks that algorithms that verify nothing, or do not exist, are
// refused at start.
func TestMethods(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{nil, {"none"}, {"HS256", "none"}, {"HS257"}, {""}} {
		if _, err := auth.New(auth.Keys{Methods: names}, auth.Options{}); !errors.Is(err, auth.ErrNoMethod) {
			t.Errorf("%q: %v", names, err)
		}
	}
}

// TestNoKeys checks that a token is refused when no key is left for it.
func TestNoKeys(t *testing.T) {
	t.Parallel()
	none := auth.Keys{
		Methods: []string{"HS256"},
		Find:    func(string, string) (any, error) { return jwt.VerificationKeySet{}, nil },
	}
	v, err := auth.New(none, auth.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(devtoken.Mint(secret, "a", "", now, time.Hour)); code.Of(err) != code.Unauthorized {
		t.Errorf("got %v", err)
	}
}

func TestIssuerAudience(t *testing.T) {
	t.Parallel()
	o := auth.Options{Issuer: "https://id.example", Audience: "confab"}
	for _, c := range []struct {
		name, claims string
		want         code.Code
	}{
		{"both", `"iss":"https://id.example","aud":"confab"`, ""},
		{"audience among others", `"iss":"https://id.example","aud":["mail","confab"]`, ""},
		{"other issuer", `"iss":"https://evil.example","aud":"confab"`, code.Unauthorized},
		{"no issuer", `"aud":"confab"`, code.Unauthorized},
		{"other audience", `"iss":"https://id.example","aud":["mail"]`, code.Unauthorized},
		{"no audience", `"iss":"https://id.example"`, code.Unauthorized},
		{"audience is a number", `"iss":"https://id.example","aud":7`, code.Unauthorized},
	} {
		for age, exp := range map[string]time.Duration{"": time.Hour, ", expired": -time.Hour} {
			want := c.want
			if want == "" && exp < 0 {
				want = code.TokenExpired
			}
			token := sign(hs256, fmt.Sprintf(`{"sub":"a",%s,"exp":%d}`, c.claims, now.Add(exp).Unix()))
			_, err := verifier(t, o).Verify(token)
			if (want == "") != (err == nil) || err != nil && code.Of(err) != want {
				t.Errorf("%s%s: %v, want %q", c.name, age, err, want)
			}
		}
	}
}

func TestLeeway(t *testing.T) {
	t.Parallel()
	v := verifier(t, auth.Options{Leeway: 30 * time.Second})
	for _, claim := range []string{"nbf", "iat"} {
		for d, want := range map[time.Duration]bool{29 * time.Second: true, 31 * time.Second: false} {
			_, err := v.Verify(sign(hs256, fmt.Sprintf(`{"sub":"a","exp":%d,%q:%d}`, now.Add(time.Hour).Unix(), claim, now.Add(d).Unix())))
			if (err == nil) != want {
				t.Errorf("%s in %v: %v", claim, d, err)
			}
		}
	}
	// Not for exp: the connection would be closed at once.
	_, err := v.Verify(sign(hs256, fmt.Sprintf(`{"sub":"a","exp":%d}`, now.Unix())))
	if code.Of(err) != code.TokenExpired {
		t.Errorf("expired just now: %v", err)
	}
	keys, _ := auth.HMAC(secret)
	for _, d := range []time.Duration{-1, 31 * time.Second} {
		if _, err := auth.New(keys, auth.Options{Leeway: d}); !errors.Is(err, auth.ErrLeeway) {
			t.Errorf("leeway %v: %v", d, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	old := []byte(strings.Repeat("o", 32))
	v := verifier(t, auth.Options{}, secret, old)
	for name, s := range map[string][]byte{"current": secret, "previous": old} {
		if _, err := v.Verify(devtoken.Mint(s, "a", "", now, time.Hour)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range [][][]byte{{}, {nil}, {[]byte("short")}, {secret, secret[:31]}} {
		if _, err := auth.HMAC(s...); !errors.Is(err, auth.ErrSecret) {
			t.Errorf("secrets %q: %v", s, err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ claims, want string }{
		{`"username":"Alice"`, "Alice"},
		{`"name":"Alice","preferred_username":"al"`, "Alice"},
		{`"preferred_username":"al"`, "al"},
		{`"username":"u","name":"n"`, "u"},
		{`"username":"   ","name":"n"`, "n"},
		{`"username":7,"name":"n"`, "n"},
		{`"username":"\u200b\u200b"`, "user-1"},
		{`"username":"  a\u202eb\u0000c  "`, "abc"},
		{`"username":"` + strings.Repeat("é", 70) + `"`, strings.Repeat("é", 64)},
		{`"email":"x"`, "user-1"},
	} {
		token := sign(hs256, fmt.Sprintf(`{"sub":"user-1",%s,"exp":%d}`, c.claims, now.Add(time.Hour).Unix()))
		id, err := verifier(t, auth.Options{}).Verify(token)
		if err != nil || id.Username != c.want {
			t.Errorf("%s: %q, %v; want %q", c.claims, id.Username, err, c.want)
		}
		if !id.Expires.Equal(now.Add(time.Hour)) || id.UserID != "user-1" {
			t.Errorf("%s: %+v", c.claims, id)
		}
	}
}

// TestLongTokenCostsNothing: refused before base64 and JSON.
func TestLongTokenCostsNothing(t *testing.T) {
	v := verifier(t, auth.Options{})
	token := strings.Repeat("x", 1<<20)
	if n := testing.AllocsPerRun(10, func() { v.Verify(token) }); n > 3 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzVerify checks that every accepted token has a valid identity: raw tokens, and
// headers and claims from the fuzzer that the test signs.
func FuzzVerify(f *testing.F) {
	f.Add(devtoken.Mint(secret, "alice", "Alice", now, time.Hour))
	f.Add(hs256 + "\n" + `{"sub":"a","exp":1700000001}`)
	f.Add(`{"alg":"none"}` + "\n" + `{"sub":"a","exp":1e20}`)
	f.Add(`{"alg":"HS256","crit":["x"]}` + "\n" + `{"sub":"a","exp":"1700000001","nbf":-1e300}`)
	v := verifier(f, auth.Options{})
	f.Fuzz(func(t *testing.T, in string) {
		token := in
		if header, claims, ok := strings.Cut(in, "\n"); ok {
			token = sign(header, claims)
		}
		id, err := v.Verify(token)
		if err != nil {
			if c := code.Of(err); c != code.Unauthorized && c != code.TokenExpired {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if !event.ValidUserID(id.UserID) || id.Username == "" || !id.Expires.After(now) {
			t.Fatalf("accepted as %+v", id)
		}
		if _, err := json.Marshal(id); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	v := verifier(b, auth.Options{})
	token := devtoken.Mint(secret, "user-123456", "Alice Example", now, time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}
