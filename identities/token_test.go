package identities_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast"
	"holdfast/identities"
)

func TestUnsafeTokensAreWhatAnAppWithoutAuthenticationExpects(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	tokens, err := identities.UnsafeTokens{Audience: "https://validator.example.com", Now: func() time.Time { return now }}.Tokens(context.Background())
	if err != nil || len(tokens) != 2 {
		t.Fatalf("got %d tokens, %v", len(tokens), err)
	}
	for n, user := range []string{"ledger-api-user", "administrator"} {
		token, err := jwt.Parse(tokens[n].Reveal(), func(*jwt.Token) (any, error) { return []byte("unsafe"), nil }, jwt.WithValidMethods([]string{"HS256"}))
		if err != nil {
			t.Fatal(err)
		}
		claims := token.Claims.(jwt.MapClaims)
		if claims["sub"] != user || claims["aud"] != "https://validator.example.com" || claims["iat"] != float64(now.Unix()) || len(claims) != 3 || token.Header["typ"] != "JWT" {
			t.Errorf("got %v %v", token.Header, claims)
		}
	}
}

func TestAStaticTokenIsReadAnew(t *testing.T) {
	next := []string{"first\n", "Bearer second", "bearer\tthird"}
	static := identities.StaticToken{Read: func(context.Context) (holdfast.Secret, error) {
		defer func() { next = next[1:] }()
		return holdfast.NewSecret(next[0]), nil
	}}
	for _, want := range []string{"first", "second"} {
		got, err := static.Tokens(context.Background())
		if err != nil || len(got) != 1 || got[0].Reveal() != want {
			t.Errorf("got %v, %v; want %s", got, err, want)
		}
	}
	if _, err := static.Tokens(context.Background()); holdfast.ClassOf(err) != holdfast.WrongKey {
		t.Errorf("two words pass for a token: %v", err)
	}
	gone := errors.New("no such file")
	static.Read = func(context.Context) (holdfast.Secret, error) { return holdfast.Secret{}, gone }
	if _, err := static.Tokens(context.Background()); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
