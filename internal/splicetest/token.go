package splicetest

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// unsafeKey is the secret of every node that runs without authentication.
const unsafeKey = "unsafe"

// UnsafeToken is the token of a node without authentication: anybody can make
// one for any user.
func UnsafeToken(user, audience string) string {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iat": time.Now().Unix(),
		"aud": audience,
		"sub": user,
	})
	signed, err := token.SignedString([]byte(unsafeKey))
	if err != nil {
		panic(err) // a constant key and claims of our own
	}
	return signed
}

var errNoToken = errors.New("no bearer token")

// authenticate returns the user whom the request's token names, once its
// signature, audience and time are right.
func (a *ValidatorApp) authenticate(r *http.Request) (string, error) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", errNoToken
	}
	method := jwt.SigningMethodHS256.Alg()
	key := func(*jwt.Token) (any, error) { return []byte(unsafeKey), nil }
	if a.options.JWKS != "" {
		method = jwt.SigningMethodRS256.Alg()
		key = func(t *jwt.Token) (any, error) {
			id, _ := t.Header["kid"].(string)
			return issuerKey(r.Context(), a.options.JWKS, id)
		}
	}
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{method}), jwt.WithAudience(a.options.Audience))
	if _, err := parser.ParseWithClaims(text, claims, key); err != nil {
		return "", err
	}
	if canton, ok := claims["https://canton-network"].(map[string]any); ok {
		if user, ok := canton["daml_user"].(string); ok {
			return user, nil
		}
	}
	user, err := claims.GetSubject()
	if err == nil && user == "" {
		err = errors.New("the token names nobody")
	}
	return user, err
}

// issuerKey fetches the issuer's RSA key of that id.
func issuerKey(ctx context.Context, url, id string) (*rsa.PublicKey, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var set struct {
		Keys []struct{ Kid, Kty, N, E string }
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("read the keys at %s: %w", url, err)
	}
	for _, k := range set.Keys {
		if k.Kid != id || k.Kty != "RSA" {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		if err != nil {
			return nil, err
		}
		e, err := base64.RawURLEncoding.DecodeString(k.E)
		if err != nil {
			return nil, err
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	}
	return nil, fmt.Errorf("no RSA key %q at %s", id, url)
}
