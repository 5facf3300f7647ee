package identities

import (
	"context"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast"
)

// Tokens returns bearer tokens for the validator app, in the order to try them.
// It is called for every attempt, so a rotated secret or an expired token needs
// no restart.
type Tokens interface {
	Tokens(ctx context.Context) ([]holdfast.Secret, error)
}

// StaticToken is a token that another program renews, in a file or behind a
// command.
type StaticToken struct {
	Read holdfast.SecretFunc
}

// Tokens reads the token. A leading "Bearer" and white space are not part of it.
func (t StaticToken) Tokens(ctx context.Context) ([]holdfast.Secret, error) {
	token, err := t.Read(ctx)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(token.Reveal())
	if scheme, rest, found := strings.Cut(text, " "); found && strings.EqualFold(scheme, "bearer") {
		text = strings.TrimSpace(rest)
	}
	if text == "" || strings.ContainsAny(text, " \r\n\t") {
		return nil, &holdfast.Problem{
			Class: holdfast.WrongKey,
			What:  "the token for the validator app is empty or not one word",
			Do:    "Check the source of the token in the configuration.",
		}
	}
	return []holdfast.Secret{holdfast.NewSecret(text)}, nil
}

// The users that UnsafeTokens tries: current releases require the participant's
// admin, old ones accepted the wallet's.
const (
	LedgerAPIUser = "ledger-api-user"
	WalletAdmin   = "administrator"
)

// UnsafeTokens signs its own tokens with the well-known secret of a validator
// app that runs without authentication (compose without -a, Helm's
// disableAuth, LocalNet). Anyone who reaches such an app can do the same.
type UnsafeTokens struct {
	Audience string           // what the validator app expects in aud
	Users    []string         // LedgerAPIUser, then WalletAdmin, if empty
	Now      func() time.Time // time.Now if nil
}

// Tokens signs one token per user.
func (u UnsafeTokens) Tokens(context.Context) ([]holdfast.Secret, error) {
	now, users := time.Now, []string{LedgerAPIUser, WalletAdmin}
	if u.Now != nil {
		now = u.Now
	}
	if len(u.Users) > 0 {
		users = u.Users
	}
	var tokens []holdfast.Secret
	for _, user := range users {
		claims := jwt.MapClaims{"iat": now().Unix(), "aud": u.Audience, "sub": user}
		signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("unsafe"))
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, holdfast.NewSecret(signed))
	}
	return tokens, nil
}
