package docker

import "testing"

func TestNamesOfImages(t *testing.T) {
	for _, c := range []struct {
		image        Image
		exact, whole string
	}{
		{Image{Name: "postgres:14"}, "", "postgres:14"},
		{Image{Name: "postgres:14", ID: "sha256:1"}, "", "postgres:14 (sha256:1)"},
		{Image{Name: "postgres:14", ID: "sha256:1", Digest: "sha256:2"}, "postgres@sha256:2", "postgres:14 (sha256:2)"},
		{Image{Name: "localhost:5000/a/b", Digest: "sha256:2"}, "localhost:5000/a/b@sha256:2", "localhost:5000/a/b (sha256:2)"},
		{Image{Name: "ghcr.io/a/b:1.2@sha256:2", Digest: "sha256:2"}, "ghcr.io/a/b@sha256:2", "ghcr.io/a/b:1.2@sha256:2 (sha256:2)"},
	} {
		if c.image.exact() != c.exact || c.image.String() != c.whole {
			t.Errorf("%+v: %q, %q", c.image, c.image.exact(), c.image.String())
		}
	}
}
