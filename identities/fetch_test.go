package identities_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"holdfast"
	"holdfast/identities"
	"holdfast/identities/identitiestest"
	"holdfast/internal/eventtest"
)

func aDump() []byte {
	return identitiestest.New("alice", [32]byte{5}, identitiestest.Options{Version: "0.6.11"}).JSON
}

func TestFetch(t *testing.T) {
	var got *http.Request
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = w.Write(aDump())
	}))
	defer app.Close()

	for _, c := range []struct {
		name, base, path, address, wantPath, wantHost string
	}{
		{"in its place", app.URL, "", "", identities.ValidatorPath, app.Listener.Addr().String()},
		{"below a path of a proxy", app.URL + "/node-1/", "", "", "/node-1" + identities.ValidatorPath, app.Listener.Addr().String()},
		{"from an SV app", app.URL, identities.SuperValidatorPath, "", identities.SuperValidatorPath, app.Listener.Addr().String()},
		{"from compose's name for it", "http://wallet.localhost:" + port(app), "", "", identities.ValidatorPath, "wallet.localhost:" + port(app)},
		{"from a name dialled elsewhere", "http://validator.example.com", "", app.Listener.Addr().String(), identities.ValidatorPath, "validator.example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := identities.Fetcher{BaseURL: c.base, Tokens: a(token("ledger-api-user")), Path: c.path, Address: c.address, Attempts: 1}
			data, err := f.Fetch(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(data, aDump()) {
				t.Error("these are not the bytes that the app sent")
			}
			if got.URL.Path != c.wantPath || got.Host != c.wantHost || got.Header.Get("Authorization") != "Bearer "+token("ledger-api-user") {
				t.Errorf("the app was asked for %s at %s, with %s", got.URL.Path, got.Host, got.Header.Get("Authorization"))
			}
		})
	}
}

// Whatever else the app or something before it answers, the operator is told
// which of several remedies applies, and never the token.
func TestFetchExplainsEveryOtherAnswer(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		class  holdfast.Class
		what   string
		do     string
	}{
		{"401", 401, "", holdfast.WrongKey, `aud "https://validator.example.com", iss "https://issuer.example.com", sub "alice@clients", exp 2001-09-09T01:46:40Z`, "audience"},
		{"403", 403, `{"error":"Authorization Failed for alice@clients"}`, holdfast.WrongKey, `(Authorization Failed for alice@clients); the user is "alice@clients"`, "LEDGER_API_ADMIN_USER"},
		{"404 of an app that is starting", 404, `{"error":"The requested resource could not be found."}`, holdfast.Unreachable, "still starting", "readyz"},
		{"404 of a web server", 404, "<html>not found</html>", holdfast.Unreachable, "with a web page", "address"},
		{"500", 500, "", holdfast.Failed, "status 500", "log"},
		{"502 of a proxy", 502, "<html>bad gateway</html>", holdfast.Unreachable, "not available", "runs"},
		{"503", 503, "", holdfast.Unreachable, "not available", "ready"},
		{"a wallet's page", 200, "<!doctype html>", holdfast.Failed, "it is a web page", "address"},
		{"half a dump", 200, string(aDump()[:500]), holdfast.Failed, "ends in the middle", "again"},
		{"an error with status 200", 200, `{"error":"overloaded"}`, holdfast.Failed, `"overloaded"`, "log"},
		{"more than a dump can be", 200, strings.Repeat(" ", identities.MaxSize+1), holdfast.Failed, "larger than", "address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			app := answering(c.status, c.body)
			defer app.Close()
			f := identities.Fetcher{BaseURL: app.URL, Tokens: a(token("alice@clients")), Attempts: 1}
			_, err := f.Fetch(context.Background())
			expect(t, err, c.class, c.what, c.do)
			for _, part := range strings.Split(token("alice@clients"), ".") {
				if why, do := holdfast.Advice(err); strings.Contains(err.Error()+why+do, part) {
					t.Errorf("the token is in %v", err)
				}
			}
		})
	}
}

// An app that is ready and has no such route will not have it in a minute
// either: nothing is waited for.
func TestAReadyAppWithoutTheRoute(t *testing.T) {
	ready := http.StatusServiceUnavailable
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == identities.ReadyPath {
			w.WriteHeader(ready)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":"The requested resource could not be found."}`))
	}))
	defer app.Close()
	pauses := 0
	f := identities.Fetcher{BaseURL: app.URL, Tokens: a(token("alice")), Attempts: 3, Sleep: func(context.Context, time.Duration) error {
		pauses++
		return nil
	}}
	_, err := f.Fetch(t.Context())
	expect(t, err, holdfast.Unreachable, "still starting", "readyz")
	if pauses != 2 {
		t.Errorf("a starting app was asked again %d times", pauses)
	}
	ready, pauses = http.StatusOK, 0
	_, err = f.Fetch(t.Context())
	expect(t, err, holdfast.Failed, "its release has no such route", "identities.file")
	if pauses != 0 {
		t.Errorf("a ready app was asked again %d times", pauses)
	}
}

// Where the app exports nothing, a file has the dump, for its owner alone.
func TestADumpInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identities.json")
	if err := os.WriteFile(path, append([]byte("\xef\xbb\xbf"), aDump()...), 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := identities.File{Path: path}.Fetch(t.Context())
	if err != nil || !bytes.Equal(bytes.TrimSpace(data), bytes.TrimSpace(aDump())) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	_, err = identities.File{Path: path}.Fetch(t.Context())
	expect(t, err, holdfast.Usage, "can be read by others: mode 0640", "chmod 600 "+path)
	_, err = identities.File{Path: path + ".not"}.Fetch(t.Context())
	expect(t, err, holdfast.Usage, "read the identities", "identities.file")
}

func TestFetchExplainsWhyNobodyAnswered(t *testing.T) {
	closed := answering(200, "")
	closed.Close()
	plain := answering(200, string(aDump()))
	defer plain.Close()
	secure := overTLS(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(aDump()) })
	defer secure.Close()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer slow.Close()
	defer close(release)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5000")
		_, _ = w.Write(aDump()[:100])
	}))
	defer broken.Close()

	for _, c := range []struct {
		name  string
		f     identities.Fetcher
		class holdfast.Class
		what  string
		do    string
	}{
		{"nothing listens", identities.Fetcher{BaseURL: closed.URL}, holdfast.Unreachable, "nothing listens there", "port"},
		{"an unknown name", identities.Fetcher{BaseURL: "http://validator.invalid"}, holdfast.Unreachable, "validator.invalid is unknown", "name"},
		{"no answer", identities.Fetcher{BaseURL: slow.URL, Timeout: 50 * time.Millisecond}, holdfast.Unreachable, "no answer in time", "timeout"},
		{"a connection that breaks", identities.Fetcher{BaseURL: broken.URL}, holdfast.Unreachable, "broke off", "proxy"},
		{"an unknown CA", identities.Fetcher{BaseURL: secure.URL}, holdfast.Failed, "certificate is not trusted", "extra CA"},
		{"a certificate for another name", identities.Fetcher{BaseURL: "https://validator.invalid", Address: secure.Listener.Addr().String(), CA: authority(secure)}, holdfast.Failed, "certificate is not trusted", "name"},
		{"https where http is spoken", identities.Fetcher{BaseURL: strings.Replace(plain.URL, "http:", "https:", 1)}, holdfast.Failed, "does not speak TLS", "http://"},
		{"a CA file without a certificate", identities.Fetcher{BaseURL: secure.URL, CA: []byte("nothing")}, holdfast.Usage, "no PEM certificate", "BEGIN CERTIFICATE"},
		{"an address without http", identities.Fetcher{BaseURL: "wallet.localhost"}, holdfast.Usage, "is not an http or https address", "http://wallet.localhost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.f.Tokens, c.f.Attempts = a(token("alice")), 1
			_, err := c.f.Fetch(context.Background())
			expect(t, err, c.class, c.what, c.do)
		})
	}
	t.Run("and with its CA it is trusted", func(t *testing.T) {
		f := identities.Fetcher{BaseURL: secure.URL, CA: authority(secure), Tokens: a(token("alice")), Attempts: 1}
		if _, err := f.Fetch(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestFetchWaitsForAnAppThatIsStarting(t *testing.T) {
	statuses := []int{502, 503, 404, 404, 200}
	asked := 0
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == identities.ReadyPath {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		status := statuses[min(asked, len(statuses)-1)]
		asked++
		w.WriteHeader(status)
		if status == http.StatusOK {
			_, _ = w.Write(aDump())
		}
	}))
	defer app.Close()

	var pauses []time.Duration
	var heard eventtest.Record
	f := identities.Fetcher{BaseURL: app.URL, Tokens: a(token("alice")), Events: heard.Hear, Sleep: func(_ context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return nil
	}}
	if _, err := f.Fetch(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}; !slices.Equal(pauses, want) {
		t.Errorf("it waited %v, want %v", pauses, want)
	}
	retried := eventtest.Of[identities.FetchRetried](&heard)
	if len(retried) != 4 || retried[3].Try != 4 || retried[3].Pause != 8*time.Second || retried[3].Err == nil {
		t.Errorf("reported: %+v", retried)
	}

	asked, pauses, f.Attempts = 0, nil, 3
	if _, err := f.Fetch(context.Background()); holdfast.ClassOf(err) != holdfast.Unreachable || asked != 3 || len(pauses) != 2 {
		t.Errorf("after %d attempts and %d pauses: %v", asked, len(pauses), err)
	}
}

func TestFetchDoesNotRepeatWhatWillNotChange(t *testing.T) {
	for _, status := range []int{401, 403, 500} {
		asked := 0
		app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.WriteHeader(status)
		}))
		f := identities.Fetcher{BaseURL: app.URL, Tokens: a(token("alice"))}
		if _, err := f.Fetch(context.Background()); err == nil || asked != 1 {
			t.Errorf("status %d: asked %d times, %v", status, asked, err)
		}
		app.Close()
	}
}

func TestFetchStopsWhenItIsAskedTo(t *testing.T) {
	app := answering(503, "")
	defer app.Close()
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := identities.Fetcher{BaseURL: app.URL, Tokens: a(token("alice"))}.Fetch(ctx)
	if holdfast.ClassOf(err) != holdfast.Interrupted {
		t.Errorf("got %v", err)
	}
}

func TestFetchTriesTheUserOfOldReleasesSecond(t *testing.T) {
	var accepted string
	var asked []string
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := subject(r)
		asked = append(asked, user)
		if user != accepted {
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, `{"error":"Authorization Failed for %s"}`, user)
			return
		}
		_, _ = w.Write(aDump())
	}))
	defer app.Close()
	f := identities.Fetcher{BaseURL: app.URL, Tokens: identities.UnsafeTokens{Audience: "https://validator.example.com"}, Attempts: 1}

	for _, c := range []struct {
		accepted string
		asked    []string
	}{
		{"ledger-api-user", []string{"ledger-api-user"}},
		{"administrator", []string{"ledger-api-user", "administrator"}},
	} {
		accepted, asked = c.accepted, nil
		if _, err := f.Fetch(context.Background()); err != nil || !slices.Equal(asked, c.asked) {
			t.Errorf("it asked as %v: %v", asked, err)
		}
	}
	accepted = "nobody"
	_, err := f.Fetch(context.Background())
	expect(t, err, holdfast.WrongKey, `the user is "ledger-api-user"; also refused: administrator`, "ledger API user")
}

func TestATokenNeverFollowsARedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request was sent on") }))
	defer elsewhere.Close()
	app := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/login", http.StatusFound))
	defer app.Close()
	_, err := identities.Fetcher{BaseURL: app.URL, Tokens: a(token("alice")), Attempts: 1}.Fetch(context.Background())
	expect(t, err, holdfast.Failed, "it redirects to \""+elsewhere.URL+"/login\"", "set the address")
}

func TestARefusalNamesTheUserOfCantonsOwnClaim(t *testing.T) {
	app := answering(403, "")
	defer app.Close()
	claims := jwt.MapClaims{"sub": "someone", "https://canton-network": map[string]string{"daml_user": "bob"}}
	signed := must(jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("k")))
	_, err := identities.Fetcher{BaseURL: app.URL, Tokens: a(signed), Attempts: 1}.Fetch(context.Background())
	expect(t, err, holdfast.WrongKey, `the user is "bob"`, "ledger API user")
}

func TestOutOfTimeTheLastAnswerIsTold(t *testing.T) {
	app := answering(404, "")
	defer app.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := identities.Fetcher{BaseURL: app.URL, Tokens: a(token("alice"))}.Fetch(ctx)
	expect(t, err, holdfast.Unreachable, "still starting", "readyz")
}

func TestAnOpaqueTokenIsNotGuessedAt(t *testing.T) {
	app := answering(401, "")
	defer app.Close()
	_, err := identities.Fetcher{BaseURL: app.URL, Tokens: a("opaque-token"), Attempts: 1}.Fetch(context.Background())
	expect(t, err, holdfast.WrongKey, "is not a JWT", "audience")
}

// expect looks at everything that an operator is told.
func expect(t *testing.T, err error, class holdfast.Class, what, do string) {
	t.Helper()
	if holdfast.ClassOf(err) != class || err == nil || !strings.Contains(err.Error(), what) {
		t.Fatalf("got %s %v\nwant %s %s", holdfast.ClassOf(err), err, class, what)
	}
	if _, advice := holdfast.Advice(err); !strings.Contains(advice, do) {
		t.Errorf("the advice on %v is %q, without %q", err, advice, do)
	}
}

func answering(status int, body string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
}

func a(token string) identities.Tokens {
	return identities.StaticToken{Read: holdfast.Fixed(holdfast.NewSecret(token))}
}

// token is one that an issuer could have signed, with fixed claims.
func token(user string) string {
	claims := jwt.MapClaims{"aud": "https://validator.example.com", "iss": "https://issuer.example.com", "sub": user, "exp": 1_000_000_000}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("k"))
	if err != nil {
		panic(err)
	}
	return signed
}

func subject(r *http.Request) string {
	var claims jwt.RegisteredClaims
	_, _, _ = jwt.NewParser().ParseUnverified(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), &claims)
	return claims.Subject
}

func port(s *httptest.Server) string {
	_, p, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		panic(err)
	}
	return p
}

// overTLS is a server with a certificate of a CA that nobody knows.
func overTLS(handle http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(handle)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	s.StartTLS()
	return s
}

func authority(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
