package identities_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"holdfast"
	"holdfast/identities"
)

// script starts a certified OpenID provider: RS256 access tokens by client
// credentials, whose audience is the resource asked for. It ignores
// `audience`, like Keycloak.
const script = `
import { Provider } from %q;
const client = (id, method) => ({ client_id: id, client_secret: %q, grant_types: ['client_credentials'],
  redirect_uris: [], response_types: [], token_endpoint_auth_method: method });
new Provider(%q, {
  clients: [client('by-form', 'client_secret_post'), client('by-header', 'client_secret_basic')],
  features: {
    clientCredentials: { enabled: true }, devInteractions: { enabled: false },
    resourceIndicators: { enabled: true, defaultResource: () => 'https://canton.network.global', useGrantedResource: () => true,
      getResourceServerInfo: (c, r) => ({ scope: 'daml_ledger_api', audience: r, accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }) } },
}).listen(%s, '127.0.0.1');
`

func TestARealProvidersTokensOpenTheValidatorApp(t *testing.T) {
	dir := os.Getenv("HOLDFAST_TEST_OIDC_PROVIDER")
	if dir == "" {
		t.Skip("needs an OpenID provider: set HOLDFAST_TEST_OIDC_PROVIDER to a directory with node_modules/oidc-provider")
	}
	at := startProvider(t, dir)
	provider, err := oidc.NewProvider(context.Background(), at)
	if err != nil {
		t.Fatal(err)
	}
	// The validator app verifies signature, issuer, expiry and audience.
	app := func(audience string) *httptest.Server {
		verifier := provider.Verifier(&oidc.Config{ClientID: audience})
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := verifier.Verify(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")); err != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = w.Write(aDump())
		}))
		t.Cleanup(s.Close)
		return s
	}
	global, own := app("https://canton.network.global"), app("https://validator.example.com")

	with := func(change func(*identities.ClientCredentials)) identities.ClientCredentials {
		c := identities.ClientCredentials{Issuer: at, ClientID: "by-form", ClientSecret: holdfast.Fixed(holdfast.NewSecret("s3cret"))}
		change(&c)
		return c
	}
	for _, c := range []struct {
		name  string
		c     identities.ClientCredentials
		app   *httptest.Server
		class holdfast.Class
		what  string
	}{
		{"the secret in the form", with(func(c *identities.ClientCredentials) {}), global, "", ""},
		{"the secret in a header", with(func(c *identities.ClientCredentials) { c.ClientID, c.Basic = "by-header", true }), global, "", ""},
		{"the full address of the document", with(func(c *identities.ClientCredentials) { c.Issuer += "/.well-known/openid-configuration" }), global, "", ""},
		{"a resource and a scope", with(func(c *identities.ClientCredentials) {
			c.Resource, c.Scope = "https://validator.example.com", "daml_ledger_api"
		}), own, "", ""},
		{"an audience that the provider ignores", with(func(c *identities.ClientCredentials) { c.Audience = "https://validator.example.com" }), own,
			holdfast.WrongKey, `aud "https://canton.network.global"`},
		{"a wrong secret", with(func(c *identities.ClientCredentials) { c.ClientSecret = holdfast.Fixed(holdfast.NewSecret("wrong")) }), global,
			holdfast.WrongKey, "invalid_client"},
		{"a resource that is no address", with(func(c *identities.ClientCredentials) { c.Resource = "not an address" }), global, holdfast.Failed, "invalid_target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := identities.Fetcher{BaseURL: c.app.URL, Tokens: c.c, Attempts: 1}.Fetch(context.Background())
			if holdfast.ClassOf(err) != c.class || err != nil && !strings.Contains(err.Error(), c.what) {
				t.Errorf("got %s %v\nwant %s %s", holdfast.ClassOf(err), err, c.class, c.what)
			}
		})
	}
}

// startProvider runs the provider until the test ends and returns its address.
func startProvider(t *testing.T, dir string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	at := "http://127.0.0.1:" + port

	file := filepath.Join(t.TempDir(), "provider.mjs")
	module := filepath.Join(dir, "node_modules/oidc-provider/lib/index.js")
	if err := os.WriteFile(file, fmt.Appendf(nil, script, module, "s3cret", at, port), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	node := exec.Command("node", file)
	node.Stdout, node.Stderr = &log, &log
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = node.Process.Kill()
		_ = node.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for range 100 {
		if response, err := http.Get(at + "/.well-known/openid-configuration"); err == nil {
			response.Body.Close()
			return at
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the provider did not start")
	return ""
}
