package place_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/place"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]place.Place{
		"/var/backups/holdfast":  {Scheme: place.File, Path: "/var/backups/holdfast"},
		"/var/backups/holdfast/": {Scheme: place.File, Path: "/var/backups/holdfast"},
		"/var//backups/./x/..":   {Scheme: place.File, Path: "/var/backups"},
		"/":                      {Scheme: place.File, Path: "/"},
		"repository":             {Scheme: place.File, Path: "/etc/holdfast/repository"},
		"./a:b":                  {Scheme: place.File, Path: "/etc/holdfast/a:b"},
		"../backups":             {Scheme: place.File, Path: "/etc/backups"},
		".":                      {Scheme: place.File, Path: "/etc/holdfast"},
		"/mnt/a:b":               {Scheme: place.File, Path: "/mnt/a:b"},
		"/mnt/s3://x":            {Scheme: place.File, Path: "/mnt/s3:/x"},
		"/a\nb":                  {Scheme: place.File, Path: "/a\nb"},
		"~x":                     {Scheme: place.File, Path: "/etc/holdfast/~x"},
		"./~":                    {Scheme: place.File, Path: "/etc/holdfast/~"},
		"file:///var/backups/":   {Scheme: place.File, Path: "/var/backups"},
		"FILE:///x%20y":          {Scheme: place.File, Path: "/x y"},

		"s3://bucket":                 {Scheme: "s3", Bucket: "bucket"},
		"S3://bucket/node-1/":         {Scheme: "s3", Bucket: "bucket", Path: "node-1"},
		"s3://bucket/a/b?region=eu-1": {Scheme: "s3", Bucket: "bucket", Path: "a/b", Options: "region=eu-1"},
		"s3://bucket/a?region=eu-1&endpoint=S3.local:9000": {
			Scheme:  "s3",
			Host:    "s3.local:9000",
			Bucket:  "bucket",
			Path:    "a",
			Options: "region=eu-1",
		},
		"gs://bucket/prefix":         {Scheme: "gs", Bucket: "bucket", Path: "prefix"},
		"azblob://account/container": {Scheme: "azblob", Account: "account", Bucket: "container"},
		"azblob://account/container/a/b": {
			Scheme:  "azblob",
			Account: "account",
			Bucket:  "container",
			Path:    "a/b",
		},
		"azblob://account/container/a?domain=blob.core.usgovcloudapi.net": {
			Scheme:  "azblob",
			Account: "account",
			Bucket:  "container",
			Path:    "a",
			Options: "domain=blob.core.usgovcloudapi.net",
		},
		"azblob://account/container?endpoint=Blobs.local:10000&tls=off": {
			Scheme:  "azblob",
			Account: "account",
			Host:    "blobs.local:10000",
			Bucket:  "container",
			Options: "tls=off",
		},
		"sftp://backup@NAS.example.com:22/srv/holdfast/": {
			Scheme:  "sftp",
			Account: "backup",
			Host:    "nas.example.com",
			Path:    "srv/holdfast",
		},
		"sftp://nas:2222/srv": {Scheme: "sftp", Host: "nas:2222", Path: "srv"},
		"webdav://nas/dav":    {Scheme: "webdav", Host: "nas", Path: "dav"},
		"vault://vault.example.com:8200/secret/node-1": {
			Scheme: "vault",
			Host:   "vault.example.com",
			Path:   "secret/node-1",
		},
		"awssm://eu-central-1/node-1": {Scheme: "awssm", Host: "eu-central-1", Path: "node-1"},
		"gcpsm://project/node-1":      {Scheme: "gcpsm", Account: "project", Path: "node-1"},
		"azkv://vault/node-1":         {Scheme: "azkv", Host: "vault", Path: "node-1"},
		"kube://validator/node-1":     {Scheme: "kube", Bucket: "validator", Path: "node-1"},
	} {
		got, err := place.Parse(text, "/etc/holdfast")
		if err != nil || got != want {
			t.Errorf("%q: %#v, %v", text, got, err)
			continue
		}
		if again, err := place.Parse(got.String(), "/elsewhere"); err != nil || again != got {
			t.Errorf("%q is written %q, which is %#v, %v", text, got, again, err)
		}
	}
}

// What is refused is explained, and never repeated: it may be a secret.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "want a directory",
		"/x\x00y":                             "zero byte",
		"file:///x%00y":                       "malformed",
		"~":                                   "write the whole path",
		"~/backups":                           "write the whole path",
		`C:\backups`:                          "Windows",
		"c:/backups":                          "Windows",
		"c:":                                  "Windows",
		`\\nas\backups`:                       "Windows",
		"nas:/srv/backups":                    "sftp://HOST/PATH",
		"backup@nas:srv":                      "sftp://HOST/PATH",
		"host:hunter2":                        "./NAME",
		"s3:bucket":                           "sftp://HOST/PATH",
		"file:/var/backups":                   "only the path of a directory",
		"file:backups":                        "only the path of a directory",
		"file://nas/backups":                  "local directory",
		"file:///x?y=hunter2":                 "local directory",
		"ftp://nas/x":                         "ftp:// is unknown",
		"https://user:hunter2@nas/x":          "https:// is unknown",
		"sftp://user:hunter2@nas/x":           "must not hold a password",
		"s3://AKIA:hunter2@bucket/x":          "must not hold a password",
		"s3://hunter2@bucket/x":               "names no user",
		"s3://":                               "want s3://BUCKET/PREFIX",
		"s3:///x":                             "want s3://BUCKET/PREFIX",
		"s3://bucket:9000/x":                  "want s3://BUCKET/PREFIX",
		"s3://bucket/../x":                    "no . or ..",
		"s3://bucket/x#y":                     "malformed",
		"s3://buck et":                        "malformed",
		"s3://bucket/x?secret=hunter2":        "endpoint, region, profile, tls, no others",
		"s3://bucket/x?region=a&region=b":     "endpoint, region, profile, tls, no others",
		"gs://bucket/x?region=a":              "endpoint, tls, no others",
		"azblob://account":                    "want azblob://ACCOUNT/CONTAINER/PREFIX",
		"vault://vault.example.com":           "want vault://HOST/MOUNT/PATH",
		"vault://vault.example.com/secret":    "want vault://HOST/MOUNT/PATH",
		"sftp://nas:x/y":                      "malformed",
		"awssm://user:hunter2@eu-central-1/x": "must not hold a password",
	} {
		got, err := place.Parse(text, "/etc/holdfast")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %#v, %v; want %q", text, got, err, want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats what may be a secret: %v", err)
		}
	}
}

func TestServes(t *testing.T) {
	for text, want := range map[string]map[place.Use]string{
		"/x":            {place.Repository: "", place.Identities: ""},
		"s3://b/x":      {place.Repository: "", place.Identities: "s3:// does not hold identities"},
		"gs://b":        {place.Repository: ""},
		"azblob://a/b":  {place.Repository: ""},
		"sftp://h/x":    {place.Repository: ""},
		"webdav://h/x":  {place.Repository: ""},
		"vault://h/m/x": {place.Repository: "vault:// does not hold a repository", place.Identities: ""},
		"awssm://r/x":   {place.Repository: "awssm:// does not hold a repository", place.Identities: ""},
		"gcpsm://p/x":   {place.Identities: ""},
		"azkv://v/x":    {place.Identities: ""},
		"kube://n/x":    {place.Identities: ""},
	} {
		at, err := place.Parse(text, "/")
		if err != nil {
			t.Fatal(err)
		}
		for use, says := range want {
			if err := at.Serves(use); (err == nil) != (says == "") ||
				err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%s for %s: %v", text, use, err)
			}
		}
	}
	if got := place.Available(place.Repository); !slices.Equal(got,
		[]place.Scheme{place.Azure, place.File, place.GCS, place.S3, place.SFTP, place.WebDAV}) {
		t.Errorf("available: %v", got)
	}
}

func TestTheZeroPlaceIsNone(t *testing.T) {
	var none place.Place
	if _, local := none.Local(); local || !none.IsZero() || none.String() != "" ||
		none.Serves(place.Repository) == nil {
		t.Errorf("%#v is a place", none)
	}
	if dir, local := place.Directory("x").Local(); !local || !filepath.IsAbs(dir) || filepath.Base(dir) != "x" {
		t.Errorf("a directory of the working directory is %s, %v", dir, local)
	}
}

func TestShare(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"a/deep", "b"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	for _, c := range []struct {
		a, b string
		want place.Sharing
	}{
		{"a", "a/", place.Itself},
		{"a", "link", place.Itself},
		{"link/deep", "a/deep", place.Itself},
		{"link/not-yet", "a/not-yet", place.Itself},
		{"a", "b", place.FileSystem},
		{"a", "a/deep", place.FileSystem},
		{"a", "not-yet/below", place.FileSystem},
		{"a/not-yet", "a", place.FileSystem},
		{"a", "file/below", place.Unknown},
		{"a", "/proc", place.Unknown},

		{"s3://b/x", "s3://b/x", place.Itself},
		{"s3://b/x", "s3://b/x?region=eu-1", place.Itself},
		{"s3://b/x", "s3://b/y", place.Account},
		{"s3://b/x", "s3://c/x", place.Unknown},
		{"s3://b/x?endpoint=nas:9000", "s3://c/x?endpoint=nas:9000", place.Machine},
		{"s3://b/x?endpoint=nas:9000", "s3://b/x?endpoint=other:9000", place.Unknown},
		{"s3://b/x?endpoint=nas", "s3://b/x", place.Unknown},
		{"s3://b/x", "gs://b/x", place.Unknown},
		{"azblob://acc/c/x", "azblob://acc/d", place.Account},
		{"azblob://acc/c/x", "azblob://other/c/x", place.Unknown},
		{"gcpsm://project/x", "gcpsm://project/y", place.Account},
		{"sftp://me@nas/x", "sftp://you@nas/y", place.Machine},
		{"sftp://nas/x", "webdav://nas/y", place.Machine},
		{"sftp://nas/x", "sftp://nas2/x", place.Unknown},
		{"sftp://me@nas/x", "sftp://me@nas2/x", place.Unknown},

		{"a", "s3://b/x", place.Unknown},
		{"a", "sftp://nas/x", place.Unknown},
		{"a", "sftp://localhost:2222/x", place.Machine},
		{"a", "sftp://[::1]:2222/x", place.Machine},
		{"a", "sftp://" + host + "/x", place.Machine},
	} {
		a, errA := place.Parse(c.a, dir)
		b, errB := place.Parse(c.b, dir)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if got := place.Share(a, b); got != c.want {
			t.Errorf("%s and %s share %s, want %s", c.a, c.b, got, c.want)
		}
		if got := place.Share(b, a); got != c.want {
			t.Errorf("%s and %s share %s, want %s", c.b, c.a, got, c.want)
		}
	}
}

// Whatever is a place is written so that it is read again, and holds no
// password.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"/var/backups", "x", "./a:b", "s3://b/x?region=eu-1", "sftp://me@nas:2222/x",
		"azblob://a/b/c", "kube://n/x", "c:", "file:///x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := place.Parse(text, "/base")
		if err != nil {
			return
		}
		if again, err := place.Parse(p.String(), "/other"); err != nil || again != p {
			t.Errorf("%q is %#v, written %q, read as %#v, %v", text, p, p, again, err)
		}
		if dir, local := p.Local(); local && (!filepath.IsAbs(dir) || filepath.Clean(dir) != dir) {
			t.Errorf("%q is the directory %q", text, dir)
		}
	})
}

// A place of its parts is that of its URL.
func TestAPlaceOfItsParts(t *testing.T) {
	for url, parts := range map[string]map[string]string{
		"s3://sets/demo?region=eu-central-1": {"bucket": "sets", "prefix": "demo/", "region": "eu-central-1"},
		"s3://sets?endpoint=h%3A9&tls=off":   {"bucket": "sets", "endpoint": "h:9", "tls": "off"},
		"gs://sets/a/b":                      {"bucket": "sets", "prefix": "a/b"},
		"azblob://acc/box/demo":              {"account": "acc", "container": "box", "prefix": "demo"},
		"sftp://backup@vault:2222/srv/sets":  {"host": "vault:2222", "user": "backup", "path": "/srv/sets"},
		"webdav://dav/sets":                  {"host": "dav", "path": "sets"},
	} {
		want, err := place.Parse(url, "/")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := place.Of(want.Scheme, parts); err != nil || got != want {
			t.Errorf("%s: %v, %v", url, got, err)
		}
	}
	for name, parts := range map[string]map[string]string{
		"want s3://":            {"prefix": "demo"},
		"known here are bucket": {"bucket": "sets", "password": "canary"},
		"bucket is one name":    {"bucket": "sets/demo"},
		"no . or ..":            {"bucket": "sets", "prefix": "../x"},
	} {
		_, err := place.Of(place.S3, parts)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := place.Of(place.Azure, map[string]string{"account": "a", "container": "b/c"}); err == nil {
		t.Error("a container with a slash is one name")
	}
	if _, err := place.Of(place.File, map[string]string{"path": "/x"}); err == nil {
		t.Error("a directory has no parts")
	}
}
