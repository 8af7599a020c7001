package event

import "github.com/confab-chat/confab/proto/code"

// Names of the event and of its reply.
const (
	NameRefreshToken   = "refreshToken"
	NameTokenRefreshed = "tokenRefreshed"
)

// MaxToken is how many bytes a token may have.
const MaxToken = 4 << 10

var refreshToken = Def{
	Name: NameRefreshToken, Reply: NameTokenRefreshed,
	Payload: request[RefreshToken], Success: reply[TokenRefreshed],
}

// RefreshToken replaces the token before it expires, with one of the same user.
type RefreshToken struct {
	Token string `json:"token" check:"validate"`
}

// Validate implements validator.
func (p *RefreshToken) Validate() error {
	if len(p.Token) > MaxToken {
		return code.New(code.BadRequest, "token is longer than %d bytes", MaxToken)
	}
	return nil
}

// TokenRefreshed answers RefreshToken.
type TokenRefreshed struct {
	Success   True `json:"success"`
	ExpiresAt Time `json:"expiresAt"`
}
