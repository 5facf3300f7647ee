package repository

import (
	"path/filepath"
	"testing"

	"holdfast"
	"holdfast/place"
)

// kopia's lists of buffers are where they are taken to be, and fill again after they
// were emptied. If this fails with a new version of kopia, buffers is to follow it.
func TestFreeBuffers(t *testing.T) {
	type list struct {
		name string
		size int
	}
	want := []list{{"default", 64 << 10}, {"mid-size contiguous", 8<<20 + 128}, {"contiguous", 16<<20 + 128}}
	for i, b := range kopiasBuffers() {
		if got := (list{b.name, b.size}); got != want[i] {
			t.Fatalf("list %d of kopia's buffers is %v, want %v", i, got, want[i])
		}
	}
	at, err := place.Parse(filepath.Join(t.TempDir(), "repository"), "/")
	if err != nil {
		t.Fatal(err)
	}
	password := holdfast.NewSecret("of-the-repository")
	if err := Create(t.Context(), at, password); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := Open(t.Context(), at, password)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(smallBuffers.free) == 0 || len(mediumBuffers.free) == 0 {
			t.Fatal("kopia keeps its buffers elsewhere")
		}
		FreeBuffers()
		for _, b := range kopiasBuffers() {
			if len(b.free) > 0 {
				t.Errorf("%d %s buffers are left", len(b.free), b.name)
			}
		}
	}
}
