package event

import "github.com/confab-chat/confab/proto/code"

// Names of the event and of its reply.
const (
	NameRefreshToken   = "refreshToken"
	NameTokenRefreshed = "tokenRefreshed"
)

// MaxToken is how many bytes a token may have.
const MaxToken = 4 << 10

// RefreshToken brings a new token for the same user before the old one expires.
type RefreshToken struct {
	Token string `json:"token"`
}

// Decode implements Request.
func (p *RefreshToken) Decode(data []byte) error {
	*p = RefreshToken{}
	var d decoder
	for d.begin(data); d.next(); {
		if string(d.r.Key()) == "token" {
			p.Token = d.text("token")
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	if p.Token == "" {
		return missing("token")
	}
	if len(p.Token) > MaxToken {
		return code.New(code.BadRequest, "token is longer than %d bytes", MaxToken)
	}
	return nil
}

// TokenRefreshed answers RefreshToken.
type TokenRefreshed struct {
	Success   bool `json:"success"`
	ExpiresAt Time `json:"expiresAt"`
}

// AppendJSON implements Reply.
func (r *TokenRefreshed) AppendJSON(dst []byte) []byte {
	dst = appendTime(dst, `{"success":true,"expiresAt":`, r.ExpiresAt)
	return append(dst, '}')
}
