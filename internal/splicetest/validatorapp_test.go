package splicetest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast/identities/identitiestest"
)

const identitiesPath = "/api/validator/v0/admin/participant/identities"

// get sends a request to the app and returns the status and the readable part
// of the body.
func get(t *testing.T, app *ValidatorApp, path, token, host string) (int, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, app.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// lonelyApp is a validator app without a database.
func lonelyApp(t *testing.T, options AppOptions) *ValidatorApp {
	t.Helper()
	options.Dump = identitiestest.New("lonely", [32]byte{1}, identitiestest.Options{}).JSON
	options.Party, options.User = "lonely::1220", LedgerUser
	app, err := StartValidatorApp(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	return app
}

func TestValidatorAppAnswersAsTheRealOneDoes(t *testing.T) {
	app := lonelyApp(t, AppOptions{})
	good := UnsafeToken(LedgerUser, DefaultAudience)
	forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"aud": DefaultAudience,
		"sub": LedgerUser,
	}).SignedString([]byte("another"))
	if err != nil {
		t.Fatal(err)
	}
	expired, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"aud": DefaultAudience,
		"sub": LedgerUser,
		"exp": 1,
	}).SignedString([]byte(unsafeKey))
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"aud":                    []string{"x", DefaultAudience},
		"sub":                    "other",
		"https://canton-network": map[string]any{"daml_user": LedgerUser},
	}).SignedString([]byte(unsafeKey))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		fault Fault
		path  string
		token string
		code  int
		body  string // a part of it
	}{
		{"livez", Healthy, "/api/validator/livez", "", 200, ""},
		{"readyz", Healthy, "/api/validator/readyz", "", 200, ""},
		{"status", Healthy, "/api/validator/status", "", 200, `"active":true`},
		{"version", Healthy, "/api/validator/version", "", 200, `"version":"` + SpliceVersion + `"`},
		{"user", Healthy, "/api/validator/v0/validator-user", "", 200, `"party_id":"lonely::1220"`},
		{"identities", Healthy, identitiesPath, good, 200, `"authorizedStoreSnapshot"`},
		{"users", Healthy, "/api/validator/v0/admin/users", good, 200, `{"usernames":["ledger-api-user"]}`},
		{"the user in the other claim", Healthy, identitiesPath, claimed, 200, `"authorizedStoreSnapshot"`},
		{"no token", Healthy, identitiesPath, "", 401, "not supplied"},
		{"a broken token", Healthy, identitiesPath, "not.a.token", 401, "invalid"},
		{"a forged token", Healthy, identitiesPath, forged, 401, "invalid"},
		{"an old token", Healthy, identitiesPath, expired, 401, "invalid"},
		{"another audience", Healthy, identitiesPath, UnsafeToken(LedgerUser, "https://ledger_api.example.com"), 401,
			"invalid"},
		{"another user", Healthy, identitiesPath, UnsafeToken("administrator", DefaultAudience), 403,
			`{"error":"Authorization Failed for administrator"}`},
		{"nowhere", Healthy, "/api/validator/v0/nowhere", good, 404, "could not be found"},
		{"initialising: livez", Initialising, "/api/validator/livez", "", 200, ""},
		{"initialising: readyz", Initialising, "/api/validator/readyz", "", 503, ""},
		{"initialising: status", Initialising, "/api/validator/status", "", 200, "not_initialized"},
		{"initialising: identities", Initialising, identitiesPath, good, 404,
			`{"error":"The requested resource could not be found.`},
		{"login page", LoginPage, identitiesPath, good, 200, "<!DOCTYPE html>"},
		{"unavailable", Unavailable, identitiesPath, good, 503, "503 Service"},
		{"error body", ErrorBody, identitiesPath, good, 200, `{"error"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			app.SetFault(c.fault)
			code, body, err := get(t, app, c.path, c.token, "")
			if err != nil || code != c.code || !strings.Contains(body, c.body) {
				t.Errorf("%d %q %v, want %d with %q", code, body, err, c.code, c.body)
			}
		})
	}
}

func TestValidatorAppCutsItsAnswers(t *testing.T) {
	app := lonelyApp(t, AppOptions{})
	good := UnsafeToken(LedgerUser, DefaultAudience)
	app.SetFault(Truncated)
	if code, _, err := get(t, app, identitiesPath, good, ""); err == nil {
		t.Errorf("truncated: status %d and no error", code)
	}
	app.SetFault(CutJSON)
	if code, body, err := get(t, app, identitiesPath, good, ""); err != nil || code != 200 ||
		json.Valid([]byte(body)) {
		t.Errorf("cut JSON: %d %v, valid JSON %v", code, err, json.Valid([]byte(body)))
	}
	app.SetFault(Healthy)
	app.SetDelay(150 * time.Millisecond)
	began := time.Now()
	if _, _, err := get(t, app, identitiesPath, good, ""); err != nil || time.Since(began) < 150*time.Millisecond {
		t.Errorf("slow: %v after %v", err, time.Since(began))
	}
	app.SetDelay(0)
	other := identitiestest.New("other", [32]byte{2}, identitiestest.Options{KMS: true}).JSON
	app.SetDump(other)
	if _, body, _ := get(t, app, identitiesPath, good, ""); body != string(other) {
		t.Error("the dump was not replaced")
	}
	requests := app.Requests()
	if len(requests) != 4 || requests[3].Status != 200 || requests[3].Path != identitiesPath {
		t.Errorf("requests %+v", requests)
	}
}

func TestValidatorAppAnswersItsHostOnly(t *testing.T) {
	app := lonelyApp(t, AppOptions{Host: ComposeHost})
	for host, want := range map[string]int{"": 404, "elsewhere": 404, ComposeHost: 200, ComposeHost + ":8080": 200} {
		if code, _, err := get(t, app, "/api/validator/livez", "", host); err != nil || code != want {
			t.Errorf("host %q: %d %v, want %d", host, code, err, want)
		}
	}
}

func TestNodesAppKnowsTheNode(t *testing.T) {
	n := NewNode(t, NodeOptions{KMS: true, Hint: "kms-node", Seed: [32]byte{7}})
	if err := n.Onboard(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	app := NewValidatorApp(t, n, AppOptions{})
	token := UnsafeToken(n.User, DefaultAudience)
	if _, body, _ := get(t, app, "/api/validator/v0/admin/users", token,
		""); body != `{"usernames":["administrator","alice","bob"]}` {
		t.Error(body)
	}
	_, body, _ := get(t, app, identitiesPath, token, "")
	if !bytes.Equal([]byte(body), n.Identities.JSON) || !strings.Contains(body, "PAR::kms-node::1220") {
		t.Errorf("dump %.200s", body)
	}
	if got := one[int](t, n.ParticipantDSN(),
		"select count(*) from participant.common_kms_metadata_store"); got != len(n.Identities.Keys) {
		t.Errorf("%d keys in the service's table", got)
	}
	if got := one[int](t, n.ParticipantDSN(),
		"select count(*) from participant.lapi_users where user_id = 'bob'"); got != 1 {
		t.Error("the participant does not know bob")
	}
}

func TestTokensOfARealIssuer(t *testing.T) {
	for _, options := range []OIDCOptions{{}, {BasicAuth: true}, {HonourAudience: true}} {
		issuer := NewOIDC(t, options)
		app := lonelyAppOf(t, issuer)
		token := func(form url.Values) string {
			t.Helper()
			form.Set("grant_type", "client_credentials")
			form.Set("scope", "daml_ledger_api")
			if !options.BasicAuth {
				form.Set("client_id", issuer.ClientID)
				form.Set("client_secret", issuer.ClientSecret)
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer.Token,
				strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if options.BasicAuth {
				request.SetBasicAuth(issuer.ClientID, issuer.ClientSecret)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			var answer struct {
				AccessToken string `json:"access_token"`
				ExpiresIn   int    `json:"expires_in"`
			}
			if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.AccessToken == "" ||
				answer.ExpiresIn <= 0 {
				t.Fatalf("%d %+v %v", response.StatusCode, answer, err)
			}
			return answer.AccessToken
		}
		audience := 401
		if options.HonourAudience {
			audience = 200
		}
		for _, c := range []struct {
			name string
			form url.Values
			code int
		}{
			{"resource", url.Values{"resource": {DefaultAudience}}, 200},
			{"audience", url.Values{"audience": {DefaultAudience}}, audience},
			{"neither", url.Values{}, 401},
		} {
			if code, body, err := get(t, app, identitiesPath, token(c.form), ""); err != nil || code != c.code {
				t.Errorf("%+v: %s: %d %s %v, want %d", options, c.name, code, body, err, c.code)
			}
		}
		if code, _, _ := get(t, app, identitiesPath, UnsafeToken(issuer.ClientID, DefaultAudience), ""); code != 401 {
			t.Errorf("an unsafe token: %d, want 401", code)
		}
		pid := issuer.cmd.Process.Pid
		if err := issuer.Close(); err != nil || alive(pid) {
			t.Errorf("close: %v, still there %v", err, alive(pid))
		}
	}
}

// lonelyAppOf is a validator app that trusts an issuer and lets its client in.
func lonelyAppOf(t *testing.T, issuer *OIDC) *ValidatorApp {
	t.Helper()
	app, err := StartValidatorApp(AppOptions{
		Dump:  identitiestest.New("lonely", [32]byte{1}, identitiestest.Options{}).JSON,
		Party: "lonely::1220", User: issuer.ClientID, JWKS: issuer.JWKS,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	return app
}
