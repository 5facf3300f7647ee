package identities_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"holdfast"
	"holdfast/identities"
)

const clientSecret = "s3cret/with+signs"

// issuer is an OpenID provider reduced to what a client sees of it.
type issuer struct {
	*httptest.Server
	name   string     // what the document says; the server's URL if empty
	status int        // of the token endpoint
	body   string     // of the token endpoint
	form   url.Values // what it was sent
	basic  string     // user and password of the Authorization header
}

func newIssuer(start func(http.HandlerFunc) *httptest.Server) *issuer {
	i := &issuer{status: 200, body: `{"access_token":"` + token("validator") + `","token_type":"Bearer","expires_in":300}`}
	i.Server = start(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
			name := i.name
			if name == "" {
				name = i.URL
			}
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q}`, name, i.URL+"/token")
		case r.URL.Path == "/token":
			_ = r.ParseForm()
			user, password, _ := r.BasicAuth()
			i.form, i.basic = r.PostForm, user+":"+password
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(i.status)
			_, _ = w.Write([]byte(i.body))
		case r.URL.Path == "/moved/token":
			http.Redirect(w, r, i.URL+"/token", http.StatusTemporaryRedirect)
		default:
			http.NotFound(w, r)
		}
	})
	return i
}

func overHTTP(handle http.HandlerFunc) *httptest.Server { return httptest.NewServer(handle) }

func credentials(at string) identities.ClientCredentials {
	return identities.ClientCredentials{Issuer: at, ClientID: "backup", ClientSecret: holdfast.Fixed(holdfast.NewSecret(clientSecret + "\n"))}
}

func TestClientCredentialsSendWhatIsConfigured(t *testing.T) {
	i := newIssuer(overHTTP)
	defer i.Close()
	plain, basic, full := credentials(i.URL), credentials(i.URL+"/"), credentials(i.URL)
	basic.Basic = true
	full.Audience, full.Resource, full.Scope = "https://canton.network.global", "https://validator.example.com", "a  b"

	for _, c := range []struct {
		name string
		c    identities.ClientCredentials
		form string
		auth string
	}{
		{"id and secret in the form", plain, "client_id=backup&client_secret=" + url.QueryEscape(clientSecret) + "&grant_type=client_credentials", ":"},
		{"id and secret in a header", basic, "grant_type=client_credentials", "backup:" + url.QueryEscape(clientSecret)},
		{"audience, resource and scope", full, "audience=https%3A%2F%2Fcanton.network.global&client_id=backup&client_secret=" + url.QueryEscape(clientSecret) +
			"&grant_type=client_credentials&resource=https%3A%2F%2Fvalidator.example.com&scope=a+b", ":"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tokens, err := c.c.Tokens(context.Background())
			if err != nil || len(tokens) != 1 || tokens[0].Reveal() != token("validator") {
				t.Fatalf("got %v, %v", tokens, err)
			}
			if i.form.Encode() != c.form || i.basic != c.auth {
				t.Errorf("sent %s as %s\nwant %s as %s", i.form.Encode(), i.basic, c.form, c.auth)
			}
		})
	}
}

func TestAnIssuerHasToBeTheOneMeant(t *testing.T) {
	i := newIssuer(overHTTP)
	defer i.Close()
	i.name = "https://login.example.com/realms/canton"
	_, err := credentials(i.URL).Tokens(context.Background())
	expect(t, err, holdfast.Failed, `the document is of issuer "https://login.example.com/realms/canton"`, i.URL+"/.well-known/openid-configuration")

	// Inside a cluster the provider has another name than outside.
	if _, err := credentials(i.URL + "/.well-known/openid-configuration").Tokens(context.Background()); err != nil {
		t.Errorf("the full address of the document was given, and still: %v", err)
	}
}

func TestClientCredentialsExplainARefusal(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		class  holdfast.Class
		what   string
		do     string
	}{
		{"a wrong secret", 401, `{"error":"invalid_client","error_description":"client authentication failed"}`, holdfast.WrongKey, "invalid_client client authentication failed", "id and secret"},
		{"a client that may not", 400, `{"error":"unauthorized_client"}`, holdfast.WrongKey, "unauthorized_client", "client credentials"},
		{"a provider that repeats the secret", 401, `{"error":"invalid_client","error_description":"no ` + clientSecret + `"}`, holdfast.WrongKey, "no [secret]", "id and secret"},
		{"an unknown scope", 400, `{"error":"invalid_scope"}`, holdfast.Failed, "invalid_scope", "scope, audience and resource"},
		{"a refusal without a reason", 403, `<html>forbidden</html>`, holdfast.WrongKey, "status 403", "id and secret"},
		{"a provider that is down", 503, "", holdfast.Unreachable, "status 503", "provider's log"},
		{"an answer without a token", 200, `{}`, holdfast.Failed, "no access_token", "token_endpoint"},
		{"an answer of another kind", 200, `<html>`, holdfast.Failed, "no access_token", "token_endpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newIssuer(overHTTP)
			defer i.Close()
			i.status, i.body = c.status, c.body
			_, err := credentials(i.URL).Tokens(context.Background())
			expect(t, err, c.class, c.what, c.do)
			if strings.Contains(err.Error(), clientSecret) {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

func TestClientCredentialsExplainAMissingProvider(t *testing.T) {
	closed := newIssuer(overHTTP)
	closed.Close()
	page := answering(200, "<html>login</html>")
	defer page.Close()
	missing := answering(404, "")
	defer missing.Close()
	down := answering(502, "")
	defer down.Close()
	moved := httptest.NewServer(http.RedirectHandler("https://login.example.com/", http.StatusMovedPermanently))
	defer moved.Close()
	secure := newIssuer(overTLS)
	defer secure.Close()

	for _, c := range []struct {
		name   string
		issuer string
		class  holdfast.Class
		what   string
		do     string
	}{
		{"nothing listens", closed.URL, holdfast.Unreachable, "nothing listens there", "port"},
		{"a login page", page.URL, holdfast.Failed, "not a discovery document", "realms"},
		{"no document", missing.URL, holdfast.Failed, "status 404", "issuer"},
		{"a proxy without its provider", down.URL, holdfast.Unreachable, "status 502", "issuer"},
		{"another place", moved.URL, holdfast.Failed, `redirects to "https://login.example.com/"`, "right place"},
		{"an unknown CA", secure.URL, holdfast.Failed, "certificate is not trusted", "extra CA"},
		{"no address", "login.example.com", holdfast.Usage, "not an http or https address", "full address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := credentials(c.issuer).Tokens(context.Background())
			expect(t, err, c.class, c.what, c.do)
		})
	}
	t.Run("and with its CA it is trusted", func(t *testing.T) {
		c := credentials(secure.URL)
		c.CA = authority(secure.Server)
		if _, err := c.Tokens(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestASecretNeverFollowsARedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the secret was sent on") }))
	defer elsewhere.Close()
	var i *httptest.Server
	i = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q}`, i.URL, i.URL+"/token")
	}))
	defer i.Close()
	_, err := credentials(i.URL).Tokens(context.Background())
	expect(t, err, holdfast.Failed, "status 307", "token_endpoint")
}
