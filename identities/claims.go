package identities

import (
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast"
)

// claims are the parts of a token that are no secret. They are decoded, not
// verified: the token is our own, and the claims show what the validator app
// sees.
type claims struct {
	user    string // the user for Splice: the custom claim, else sub
	sub     string
	aud     []string
	iss     string
	expires time.Time // zero: never
	opaque  bool      // not a JWT, so the claims are unknown
}

func claimsOf(token holdfast.Secret) claims {
	var all struct {
		jwt.RegisteredClaims
		Canton struct {
			User string `json:"daml_user"`
		} `json:"https://canton-network"`
	}
	if _, _, err := jwt.NewParser().ParseUnverified(token.Reveal(), &all); err != nil {
		return claims{opaque: true}
	}
	c := claims{user: all.Canton.User, sub: all.Subject, aud: all.Audience, iss: all.Issuer}
	if c.user == "" {
		c.user = all.Subject
	}
	if all.ExpiresAt != nil {
		c.expires = all.ExpiresAt.Time
	}
	return c
}

// String lists the four claims that an administrator compares.
func (c claims) String() string {
	if c.opaque {
		return "the token is not a JWT, so its claims are unknown"
	}
	expires := "never"
	if !c.expires.IsZero() {
		expires = c.expires.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("the token has aud %s, iss %s, sub %s, exp %s",
		quoted(strings.Join(c.aud, " ")), quoted(c.iss), quoted(c.sub), expires)
}

func quoted(text string) string {
	if text == "" {
		return "(none)"
	}
	return fmt.Sprintf("%q", brief(text))
}
