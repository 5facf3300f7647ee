package setup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"holdfast"
	"holdfast/place"
	"holdfast/repository"
)

// A glimpse sees a disk that is not mounted, which leaves an empty directory, as it
// sees one that is gone.
func TestAGlimpseOfARepository(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "repository")
	if err := repository.Create(t.Context(), place.Directory(dir), holdfast.NewSecret("a password")); err != nil {
		t.Fatal(err)
	}
	g := glimpse{look: func(ctx context.Context) (bool, error) {
		_, err := repository.Reach(ctx, place.Directory(dir))
		return true, err
	}}
	read := func() error {
		r, err := repository.Open(t.Context(), place.Directory(dir), holdfast.NewSecret("a password"))
		g.failed(err)
		if err != nil {
			return err
		}
		return r.Close(t.Context())
	}
	changed := func(want bool, when string) {
		t.Helper()
		for i := range 2 { // the second look is after the repository was read
			if got := g.changed(t.Context()); got != (want && i == 0) {
				t.Errorf("%s, look %d: changed is %v", when, i, got)
			}
			_ = read()
		}
	}
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	changed(false, "at first")
	must(os.Rename(dir, dir+"-away"))
	changed(true, "without its directory")
	must(os.Mkdir(dir, 0o700))
	changed(false, "with an empty directory")
	must(os.RemoveAll(dir), os.Rename(dir+"-away", dir))
	changed(true, "back again")
	g.failed(&holdfast.Problem{Class: holdfast.WrongKey})
	if g.changed(t.Context()) {
		t.Error("a wrong password has it read at each look")
	}
}
