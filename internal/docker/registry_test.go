package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/splicetest/bundle"
)

func TestMain(m *testing.M) { bundle.Main(m) }

// registry serves one image, that changes nothing but its label; it has no
// tags but "1", which may be moved.
type registry struct {
	blobs map[string][]byte // by digest
	types map[string]string
	tag   string // the digest of the manifest that "1" stands for
}

func (r *registry) put(kind string, content []byte) string {
	sum := sha256.Sum256(content)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	r.blobs[digest], r.types[digest] = content, kind
	return digest
}

// publish makes an image and moves the tag to it.
func (r *registry) publish(t *testing.T, label string) (digest string) {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "hello", Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const kind = "application/vnd.docker."
	files := r.put(kind+"image.rootfs.diff.tar", layer.Bytes())
	encode := func(kind string, value any) (string, int) {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return r.put(kind, text), len(text)
	}
	config, size := encode(kind+"container.image.v1+json", map[string]any{"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Env": []string{"LABEL=" + label}, "User": "somebody"}, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{files}}})
	r.tag, _ = encode(kind+"distribution.manifest.v2+json", map[string]any{"schemaVersion": 2, "mediaType": kind + "distribution.manifest.v2+json",
		"config": map[string]any{"mediaType": kind + "container.image.v1+json", "size": size, "digest": config},
		"layers": []any{map[string]any{"mediaType": kind + "image.rootfs.diff.tar", "size": layer.Len(), "digest": files}}})
	return r.tag
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	digest := path.Base(q.URL.Path)
	if digest == "1" {
		digest = r.tag
	}
	content, ok := r.blobs[digest]
	switch {
	case q.URL.Path == "/v2/":
	case !ok:
		http.NotFound(w, q)
	default:
		w.Header().Set("Content-Type", r.types[digest])
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if q.Method != http.MethodHead {
			_, _ = w.Write(content)
		}
	}
}

// An image that was recorded by its digest is that very one, whatever its tag
// stands for by now, and comes from its registry where it is not there.
func TestAnImageIsTheOneThatWasRecorded(t *testing.T) {
	e, err := Connect(bundle.Require(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{blobs: map[string][]byte{}, types: map[string]string{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	name := strings.TrimPrefix(server.URL, "http://") + "/program:1"
	old := r.publish(t, "old")
	newer := r.publish(t, "new")
	t.Cleanup(func() {
		ctx := context.Background()
		list, err := e.API.ImageList(ctx, client.ImageListOptions{})
		if err != nil {
			t.Error(err)
		}
		for _, i := range list.Items {
			if strings.Contains(strings.Join(append(i.RepoTags, i.RepoDigests...), " "), path.Dir(name)+"/") {
				_, _ = e.API.ImageRemove(ctx, i.ID, client.ImageRemoveOptions{Force: true})
			}
		}
	})
	ctx := t.Context()
	recorded := Image{Name: name, Digest: old}
	if _, there, err := e.Has(ctx, recorded); there || err != nil {
		t.Fatalf("before it was fetched: %v, %v", there, err)
	}
	fetched, err := e.Have(ctx, recorded, "a test")
	if err != nil || fetched.Digest != old || fetched.User != "somebody" || strings.Join(fetched.Env, " ") != "LABEL=old" {
		t.Fatalf("%+v, %v", fetched, err)
	}
	if again, there, err := e.Has(ctx, Image{Name: name, ID: fetched.ID, Digest: "sha256:0"}); !there || err != nil || again.ID != fetched.ID {
		t.Errorf("by its id: %+v, %v", again, err)
	}
	if latest, err := e.Have(ctx, Image{Name: name}, "a test"); err != nil || latest.Digest != newer || latest.ID == fetched.ID {
		t.Errorf("by its tag: %+v, %v", latest, err)
	}
	gone := Image{Name: name, Digest: "sha256:" + strings.Repeat("0", 64)}
	if _, err := e.Have(ctx, gone, "It is needed for a test."); holdfast.ClassOf(err) != holdfast.Failed || !strings.Contains(err.Error(), "pull image") {
		t.Errorf("one that is nowhere: %v", err)
	}
}
