package docker

import (
	"strings"
	"testing"
)

func TestNamesOfImages(t *testing.T) {
	digest := "sha256:" + strings.Repeat("2", 64)
	for _, c := range []struct {
		image        Image
		exact, whole string
	}{
		{Image{Name: "postgres:14"}, "", "postgres:14"},
		{Image{Name: "postgres:14", ID: "sha256:1"}, "", "postgres:14 (sha256:1)"},
		{Image{Name: "postgres:14", ID: "sha256:1", Digest: digest}, "postgres@" + digest, "postgres:14 (" + digest + ")"},
		{Image{Name: "localhost:5000/a/b", Digest: digest}, "localhost:5000/a/b@" + digest, "localhost:5000/a/b (" + digest + ")"},
		{Image{Name: "ghcr.io/a/b:1.2@" + digest, Digest: digest}, "ghcr.io/a/b@" + digest, "ghcr.io/a/b:1.2@" + digest + " (" + digest + ")"},
	} {
		if c.image.exact() != c.exact || c.image.String() != c.whole {
			t.Errorf("%+v: %q, %q", c.image, c.image.exact(), c.image.String())
		}
	}
}

func TestNamesThatAreTakenApart(t *testing.T) {
	digest := "sha256:" + strings.Repeat("2", 64)
	for _, c := range []struct{ image, name, tag string }{
		{"postgres:14", "postgres", "14"},
		{"postgres", "postgres", ""},
		{"docker.io/library/postgres:14", "postgres", "14"},
		{"localhost:5000/a/b", "localhost:5000/a/b", ""},
		{"localhost:5000/a/b:1.2@" + digest, "localhost:5000/a/b", "1.2"},
		{"ghcr.io/a/validator-app@" + digest, "ghcr.io/a/validator-app", ""},
		{digest, digest, ""},                                   // of an image without a name
		{strings.Repeat("2", 64), strings.Repeat("2", 64), ""}, // as docker run takes one
	} {
		if name, tag := SplitName(c.image); name != c.name || tag != c.tag {
			t.Errorf("%s: got %q, %q; want %q, %q", c.image, name, tag, c.name, c.tag)
		}
	}
}

// TestDigestOfAnImageWithSeveralNames: each registry has its own.
func TestDigestOfAnImageWithSeveralNames(t *testing.T) {
	one, two := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("2", 64)
	all := []string{"mirror.example/postgres@" + one, "postgres@" + two}
	for name, want := range map[string]string{
		"postgres:14": two, "docker.io/library/postgres:14": two, "mirror.example/postgres:14": one, "own/postgres:14": "",
	} {
		if got := digestOf(name, all); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestAddressesOfADaemon: as the docker command takes them.
func TestAddressesOfADaemon(t *testing.T) {
	for host, want := range map[string]string{
		"unix:///run/docker.sock": "unix:///run/docker.sock", " unix:///run/docker.sock ": "unix:///run/docker.sock",
		"unix://": "unix:///var/run/docker.sock", "tcp://example:2375": "tcp://example:2375", "example:2375": "tcp://example:2375",
		"tcp://:2375": "tcp://localhost:2375", "ssh://user@example": "ssh://user@example",
	} {
		e, err := Connect(host, 0)
		if err != nil || e.Host() != want {
			t.Errorf("%q: got %v, %v; want %s", host, e, err, want)
			continue
		}
		t.Setenv("DOCKER_HOST", host)
		if e, err := Connect("", 0); err != nil || e.Host() != want {
			t.Errorf("DOCKER_HOST=%q: got %v, %v; want %s", host, e, err, want)
		}
	}
	if e, err := Connect("http://example", 0); err == nil {
		t.Errorf("an address that docker refuses is taken: %v", e.Host())
	}
}
