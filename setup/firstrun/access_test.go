package firstrun

import (
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/place"
)

// placed is a run whose repository is in a place, and what it writes.
func placed(t *testing.T, repository string, access ...string) (string, error) {
	t.Helper()
	r := run{
		Answers: Answers{
			Node: "demo", Repository: repository, Access: access, URL: "-", Password: "file:password",
			Databases: []string{"participant=host=db dbname=p"},
		},
		dir: t.TempDir(),
	}
	if err := r.readAccess(); err != nil {
		return "", err
	}
	return r.draft()
}

func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("/etc/holdfast/holdfast.yaml", []byte(text), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// A new configuration says who lets Holdfast into each kind of place, and where
// credentials of its own go: the line is complete, but for its files.
func TestWhereCredentialsOfAPlaceGo(t *testing.T) {
	t.Parallel()
	of := map[place.Scheme]string{
		place.S3: "s3://sets/demo?region=eu-central-1", place.GCS: "gs://sets/demo", place.Azure: "azblob://account/sets/demo",
		place.SFTP: "sftp://backup@vault.example/sets", place.WebDAV: "webdav://backup@vault.example/sets",
	}
	for _, scheme := range place.Available(place.Repository) {
		if scheme == place.File {
			continue
		}
		text, err := placed(t, of[scheme])
		if err != nil {
			t.Fatal(err)
		}
		if c := parsed(t, text); c.Repository.Access != (config.Access{}) {
			t.Errorf("%s: it names %+v", scheme, c.Repository.Access)
		}
		own := parsed(t, strings.Replace(text, "  # access:", "  access:", 1))
		if own.Repository.Access == (config.Access{}) {
			t.Errorf("%s: there is no line for credentials of its own:\n%s", scheme, text)
		}
		if !strings.Contains(text, chains[scheme].without) {
			t.Errorf("%s: it does not say who lets it in:\n%s", scheme, text)
		}
	}
	if text, err := placed(t, "/var/backups/holdfast"); err != nil || strings.Contains(text, "access") {
		t.Errorf("of a directory: %v\n%s", err, text)
	}
}

// What was given stands in it, and a secret in the place of a reference is refused and
// not shown.
func TestCredentialsOfAPlaceThatAreGiven(t *testing.T) {
	t.Parallel()
	text, err := placed(t, "sftp://backup@vault.example/sets", "known_hosts=/root/known", "key=exec:pass show 'ssh'")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Access{Key: "exec:pass show 'ssh'", KnownHosts: "/root/known"}
	if got := parsed(t, text).Repository.Access; got != want || strings.Contains(text, "# access") {
		t.Errorf("it is %+v\n%s", got, text)
	}
	for _, wrong := range []string{"secret", "secret=", "pass=file:x", "=file:x"} {
		if _, err := placed(t, "webdav://backup@vault.example/sets", wrong); err == nil ||
			!strings.Contains(err.Error(), "want PART=REFERENCE") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	text, err = placed(t, "webdav://backup@vault.example/sets", "secret=canary")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse("/etc/holdfast/holdfast.yaml", []byte(text), nil); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a secret in the place of a reference: %v", err)
	}
}
