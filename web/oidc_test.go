package web_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/web"
	"holdfast/web/storybook"
)

// provider is an OpenID provider that lets in whoever comes, with these claims.
type provider struct {
	*httptest.Server
	key    *rsa.PrivateKey
	claims jwt.MapClaims
	nonce  string
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key}
	mux := http.NewServeMux()
	give := func(path string, value func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(value())
		})
	}
	give("/.well-known/openid-configuration", func() any {
		return map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"},
		}
	})
	give("/keys", func() any {
		text := base64.RawURLEncoding.EncodeToString
		return map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": text(key.N.Bytes()),
			"e": text(big.NewInt(int64(key.E)).Bytes()),
		}}}
	})
	give("/token", func() any {
		claims := jwt.MapClaims{
			"iss": p.URL, "aud": "holdfast", "sub": "1", "exp": time.Now().Add(time.Minute).Unix(),
			"iat": time.Now().Unix(), "nonce": p.nonce,
		}
		for name, value := range p.claims {
			claims[name] = value
		}
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
		token.Header["kid"] = "1"
		text, err := token.SignedString(key)
		if err != nil {
			t.Error(err)
		}
		return map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": text}
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// through logs in, and returns the answer to coming back.
func (p *provider) through(t *testing.T, at string, state func(string) string) (*http.Client, *http.Response) {
	t.Helper()
	c := browser(t)
	to, err := url.Parse(fetch(t, c, at+"/login/oidc?to=/nodes/validator-zrh-1/growth").Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	q := to.Query()
	if p.nonce = q.Get("nonce"); q.Get("code_challenge_method") != "S256" || p.nonce == "" {
		t.Fatalf("%s: no proof key, or no nonce", to)
	}
	return c, fetch(t, c, at+"/login/oidc/back?code=1&state="+url.QueryEscape(state(q.Get("state"))))
}

// The provider's word decides the role; a login that was not begun here, or whose
// token is for somebody else, is refused.
func TestOIDC(t *testing.T) {
	p := newProvider(t)
	site := storybook.Stories()[0].Site
	server := httptest.NewUnstartedServer(nil)
	site.Access = web.Access{URL: "http://" + server.Listener.Addr().String(), OIDC: &web.OIDC{
		Issuer: p.URL, ClientID: "holdfast", Secret: holdfast.Fixed(holdfast.NewSecret("s")), Claim: "groups",
		Operators: []string{"ops"}, Viewers: []string{"dev"},
	}}
	server.Config.Handler = handlerOf(t, site)
	server.Start()
	t.Cleanup(server.Close)
	same := func(state string) string { return state }
	for _, c := range []struct {
		name   string
		claims jwt.MapClaims
		state  func(string) string
		back   int // status of coming back
		act    int // status of starting a backup then
	}{
		{"an operator", jwt.MapClaims{"groups": []string{"dev", "ops"}, "email": "ada@x"}, same, 303, 303},
		{"a viewer", jwt.MapClaims{"groups": "dev"}, same, 303, 403},
		{"nobody here", jwt.MapClaims{"groups": []string{"sales"}}, same, 403, 401},
		{"no claim", nil, same, 403, 401},
		{"another's state", jwt.MapClaims{"groups": "ops"}, func(string) string { return "x" }, 403, 401},
		{"another's nonce", jwt.MapClaims{"groups": "ops", "nonce": "x"}, same, 403, 401},
		{"another client's token", jwt.MapClaims{"groups": "ops", "aud": "else"}, same, 403, 401},
		{"an old token", jwt.MapClaims{"groups": "ops", "exp": time.Now().Add(-time.Hour).Unix()}, same, 403, 401},
	} {
		p.claims = c.claims
		client, back := p.through(t, server.URL, c.state)
		if back.StatusCode != c.back || c.back == 303 && back.Header.Get("Location") != "/nodes/validator-zrh-1/growth" {
			t.Errorf("%s: %d %s", c.name, back.StatusCode, back.Header.Get("Location"))
		}
		if r := post(t, client, server.URL+"/nodes/validator-zrh-1/backup", nil); r.StatusCode != c.act {
			t.Errorf("%s: back up: %d", c.name, r.StatusCode)
		}
	}
}

// A real provider and a real browser: its token holds no more than the subject, so
// the groups come by userinfo.
func TestARealProvider(t *testing.T) {
	site := storybook.Stories()[0].Site
	server := httptest.NewUnstartedServer(nil)
	at := "http://" + server.Listener.Addr().String()
	p := splicetest.NewOIDC(t, splicetest.OIDCOptions{Redirect: at + "/login/oidc/back", Groups: "dev,ops"})
	site.Access = web.Access{URL: at, OIDC: &web.OIDC{
		Issuer: p.Issuer, ClientID: "page", Secret: holdfast.Fixed(holdfast.NewSecret(p.ClientSecret)),
		Claim: "groups", Scopes: []string{"groups"}, Operators: []string{"ops"},
	}}
	server.Config.Handler = handlerOf(t, site)
	server.Start()
	t.Cleanup(server.Close)
	login := map[string]any{"origin": at, "node": "validator-zrh-1"}
	browse(t, "provider.mjs", login)
	site.Access.OIDC.Operators = []string{"sales"}
	login["refused"] = "ada@example.com has no role here"
	browse(t, "provider.mjs", login)
}
