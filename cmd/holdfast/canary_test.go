package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/canary"
	"holdfast/internal/storetest"
	"holdfast/repository"
	"holdfast/secretmanager/secretmanagertest"
)

// canaries are the secrets of a node whose every peer repeats what it is given.
type canaries struct {
	*testing.T
	bench
	dir      string
	echo     atomic.Bool // the validator app refuses, and repeats the token
	secret   canary.Secrets
	children canary.Children
	said     bytes.Buffer // whatever the commands have printed
}

// TestNoSecretIsRepeated lets a node live through a whole story while everybody
// repeats the secrets that they are given, and then looks for these in every
// output, file, manifest, record, argument and environment.
func TestNoSecretIsRepeated(t *testing.T) {
	c := newCanaries(t, "canaries")
	c.holdfast(2, c.init("--database", "participant="+c.node.Participant.TCPDSN(databaseOf(c.dsn["participant"])))...)
	c.holdfast(0, c.init("--database", "participant="+c.tcp("participant"), "--database-password", "participant="+c.file("db"))...)
	c.holdfast(0, "backup")
	c.holdfast(0, "drill", "latest", "--server", "local", "--report", filepath.Join(c.dir, "reports"))
	c.holdfast(0, "restore", "latest", "--yes")
	c.echo.Store(true)
	c.holdfast(3, "backup")
	for _, args := range [][]string{
		{"list"}, {"show", "latest"}, {"check"}, {"check", "--output", "json"}, {"config", "check", "--live"},
		{"config", "check", "--live", "--output", "json"}, {"config", "show", "--origin"}, {"identities", "fetch"},
		{"identities", "fetch", "--output", "json"}, {"verify", "latest"}, {"retention"},
		{"export", "latest", filepath.Join(c.dir, "export")},
		{"restore", "undo", "--yes"},
	} {
		c.holdfast(-1, args...)
	}
	c.configure("token: file:token", "token: 'exec:cat "+filepath.Join(c.dir, "token")+" >&2; exit 3'")
	c.holdfast(-1, "identities", "fetch")
	c.configure("mode: token", "mode: oidc\n    client_id: holdfast\n    client_secret: file:client\n    issuer: "+c.issuer())
	c.holdfast(-1, "identities", "fetch")
	c.configure("client_id:", "basic: true\n    client_id:")
	c.holdfast(-1, "identities", "fetch")
	if !strings.Contains(c.said.String(), "is refused") {
		t.Fatalf("nobody has repeated anything:\n%s", c.said.String())
	}
	c.search()
}

// TestNoSecretOfABucketIsRepeated is the same for a repository in a bucket, whose keys
// come by the environment, with a cache and a password that Vault holds.
func TestNoSecretOfABucketIsRepeated(t *testing.T) {
	c := newCanaries(t, "bucket-canaries")
	bucket, vault := storetest.S3(t), secretmanagertest.NewVault(t)
	vault.Put("secret/holdfast", `{"password": "`+c.secret["repository"]+`"}`)
	c.secret["bucket"], c.secret["vault"] = storetest.SecretKey, secretmanagertest.VaultToken
	id, err := bucket.Access.ID(t.Context())
	c.must(err)
	temporary := filepath.Join(c.dir, "tmp")
	c.must(os.Mkdir(temporary, 0o700))
	for name, value := range map[string]string{
		"CANARY_ID": id.Reveal(), "CANARY_SECRET": storetest.SecretKey, "TMPDIR": temporary,
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
		"VAULT_ADDR": vault.URL, "VAULT_TOKEN": secretmanagertest.VaultToken,
	} {
		t.Setenv(name, value)
	}
	flags := c.init("--database", "participant="+c.tcp("participant"), "--database-password", "participant="+c.file("db"))
	for name, value := range map[string]string{
		"--repository": bucket.Place.String(), "--repository-password": "vault:secret/holdfast#password",
	} {
		flags[slices.Index(flags, name)+1] = value
	}
	flags = append(flags, "--repository-access", "id=env:CANARY_ID", "--repository-access", "secret=env:CANARY_SECRET")
	c.holdfast(0, flags...)
	c.configure("repository:\n", "cache: {directory: '"+filepath.Join(c.dir, "cache")+"'}\nrepository:\n")
	c.holdfast(0, "backup")
	c.holdfast(0, "list")
	for _, args := range [][]string{{"verify", "latest"}, {"config", "check", "--live"}, {"config", "show", "--origin"}} {
		c.holdfast(-1, args...)
	}
	t.Setenv("CANARY_SECRET", "canary-of-another-key")
	c.secret["another"] = "canary-of-another-key"
	c.holdfast(-1, "list")
	vault.Deny(true)
	c.holdfast(-1, "list")
	cached, _ := filepath.Glob(filepath.Join(c.dir, "cache", "*"))
	if len(cached) == 0 {
		t.Error("nothing was cached")
	}
	c.secret.Look(c, "what was printed", c.said.Bytes())
	c.secret.LookAt(c, c.children)
	c.secret.LookBelow(c, c.dir, func(path string) bool {
		return c.children.Is(path) || c.secret[filepath.Base(path)] != "" && filepath.Dir(path) == c.dir
	})
}

func newCanaries(t *testing.T, name string) *canaries {
	t.Helper()
	c := &canaries{T: t, dir: t.TempDir()}
	c.must(c.start(name, false))
	t.Cleanup(c.close)
	c.secret = canary.Secrets{
		"db": nodePassword, "repository": "canary<of>the&repository", "client": "canary-of-the-client+/=",
		"token": splicetest.UnsafeToken(c.node.User, splicetest.DefaultAudience),
	}
	for name, value := range c.secret {
		c.must(os.WriteFile(filepath.Join(c.dir, name), []byte(value+"\n"), 0o600))
	}
	c.children = canary.Watch(t, c.dir, c.node.Participant.Version.Bin, "pg_dump", "pg_restore", "psql", "pg_dumpall")
	return c
}

func (c *canaries) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *canaries) file(name string) string { return "file:" + filepath.Join(c.dir, name) }

// tcp is the connection of a component over TCP, without its password.
func (c *canaries) tcp(component string) string {
	info, err := libpq.Parse(c.node.Participant.TCPDSN(databaseOf(c.dsn[component])))
	c.must(err)
	return info.String()
}

func (c *canaries) init(more ...string) []string {
	return append([]string{
		"init", "--no-input", "--node", demoNode, "--repository", filepath.Join(c.dir, "sets"),
		"--repository-password", c.file("repository"), "--recovery-key-file", filepath.Join(c.dir, "recovery"),
		"--database", "validator=" + c.tcp("validator"), "--database-password", "validator=" + c.file("db"),
		"--identities-url", c.proxy(), "--auth", "token", "--token", c.file("token"),
		"--tools", c.children.Dir,
	}, more...)
}

// proxy is a validator app that repeats the token when it refuses it.
func (c *canaries) proxy() string {
	app, err := url.Parse(c.app.URL())
	c.must(err)
	healthy := httputil.NewSingleHostReverseProxy(app)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Get("Authorization")
		if !c.echo.Load() || given == "" {
			healthy.ServeHTTP(w, r)
			return
		}
		text, _ := json.Marshal(map[string]string{"error": "the header " + given + " is refused"})
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write(text)
	}))
	c.Cleanup(server.Close)
	return server.URL
}

// issuer is one that repeats the client's secret when it refuses it.
func (c *canaries) issuer() string {
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.URL.Path, "well-known") {
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": server.URL, "token_endpoint": server.URL + "/token"})
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": fmt.Sprintf(
			"%s with %s is refused", r.Header.Get("Authorization"), body)})
	}))
	c.Cleanup(server.Close)
	return server.URL
}

// configure replaces a part of the configuration.
func (c *canaries) configure(old, by string) {
	c.Helper()
	path := filepath.Join(c.dir, "holdfast.yaml")
	text, err := os.ReadFile(path)
	c.must(err)
	before := strings.ReplaceAll(string(text), "file:"+c.dir+"/", "file:")
	after := strings.Replace(before, old, by, 1)
	if after == before {
		c.Fatalf("no %q in\n%s", old, before)
	}
	c.must(os.WriteFile(path, []byte(after), 0o600))
}

// holdfast runs a command line, which has to end with that code; -1 for any.
func (c *canaries) holdfast(code int, args ...string) {
	c.Helper()
	var printed bytes.Buffer
	args = append([]string{"--config", filepath.Join(c.dir, "holdfast.yaml")}, args...)
	got := run(c.Context(), args, streams{in: strings.NewReader(""), out: &printed, err: &printed})
	_, _ = fmt.Fprintf(&c.said, "$ %q\n%s", args[2], printed.String())
	if code >= 0 && got != code {
		c.Fatalf("holdfast %q: exit code %d, want %d\n%s", args, got, code, printed.String())
	}
}

// search looks for the canaries wherever something is left of the story.
func (c *canaries) search() {
	c.Helper()
	c.secret.Look(c, "what was printed", c.said.Bytes())
	c.secret.Look(c, "manifests and records", c.stored())
	c.secret.LookAt(c, c.children)
	c.secret.LookBelow(c, c.dir, func(path string) bool {
		return c.children.Is(path) || c.secret[filepath.Base(path)] != "" && filepath.Dir(path) == c.dir
	})
}

// stored is what the repository keeps in its encryption.
func (c *canaries) stored() []byte {
	c.Helper()
	a := newApp(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	a.configPath = filepath.Join(c.dir, "holdfast.yaml")
	p, err := a.open()
	c.must(err)
	defer func() { _ = p.Close(c.Context()) }()
	var r *repository.Repository
	r, err = p.Repository(c.Context())
	c.must(err)
	list, err := r.Manifests(c.Context(), demoNode)
	c.must(err)
	var sets []holdfast.Set
	for _, m := range list {
		sets = append(sets, m.Set)
	}
	drills, err := r.Drills(c.Context(), "")
	c.must(err)
	text, err := json.Marshal(map[string]any{"sets": sets, "drills": drills})
	c.must(err)
	if len(sets) < 2 || len(drills) == 0 {
		c.Errorf("the story left %d sets and %d drills", len(sets), len(drills))
	}
	return text
}
