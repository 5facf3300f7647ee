package repository_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"holdfast"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
)

// mount puts a small file system of its own under a directory and takes it
// away with the test.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a file system")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("needs root with the right to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

func TestAFullDiskIsNamedAndCostsNoSet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	mount(t, dir, "size=12m,mode=0700")
	at := place.Directory(filepath.Join(dir, "repository"))
	copyInto(t, filepath.Join(dir, "repository"))
	r := open(t, at)
	if err := store(t.Context(), r, aSet("demo", 1, holdfast.Proven), nil); err != nil {
		t.Fatal(err)
	}
	const name = "app/data/public.t/0000000000.copy"
	class(t,
		store(t.Context(), r, aSet("demo", 2, holdfast.Proven, name), map[string][]byte{name: random(1, 40<<20)}),
		holdfast.NoSpace)
	if list := sets(t, open(t, at), ""); len(list) != 1 || list[0].ID != aSet("demo", 1, holdfast.Proven).ID {
		t.Errorf("the sets are %v", list)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=200m"); err != nil {
		t.Fatal(err)
	}
	if err := store(t.Context(), r, aSet("demo", 3, holdfast.Proven, name),
		map[string][]byte{name: random(1, 40<<20)}); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestADiskThatIsFullFromTheBeginning(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	mount(t, dir, "size=4k,mode=0700")
	class(t,
		repository.Create(t.Context(), place.Directory(filepath.Join(dir, "repository")),
			holdfast.NewSecret(password)), holdfast.NoSpace)
}

// A repository on a disk mounted for reading only can be listed and read, as
// in a rescue; writing says what is wrong.
func TestAReadOnlyDiskReadsAndRefusesWriting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	mount(t, dir, "size=64m,mode=0700")
	at := place.Directory(filepath.Join(dir, "repository"))
	copyInto(t, filepath.Join(dir, "repository"))
	want := aSet("demo", 1, holdfast.Proven)
	if err := store(t.Context(), open(t, at), want, nil); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	r := open(t, at)
	if s, files, err := r.Latest(t.Context(), "demo", holdfast.Proven); err != nil || s.ID != want.ID ||
		string(repositorytest.Read(t, files, "app/schema.dump")) != "PGDMP" {
		t.Errorf("reading gives %v, %v", s.ID, err)
	}
	class(t, store(t.Context(), r, aSet("demo", 2, holdfast.Proven), nil), holdfast.ReadOnly)
	class(t,
		repository.Create(t.Context(), place.Directory(filepath.Join(dir, "another")), holdfast.NewSecret(password)),
		holdfast.ReadOnly)
}

// A disk that fails while the repository is open is reported after a while, and
// at once on an interrupt.
func TestADiskThatFailsIsNotWaitedForForEver(t *testing.T) {
	defer repository.SetPatience(repository.SetPatience(500 * time.Millisecond))
	at, dir := make1(t)
	r := open(t, at)
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := r.Sets(t.Context(), "")
	class(t, err, holdfast.Unreachable)
	repository.SetPatience(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := r.Sets(ctx, ""); err == nil || time.Since(began) > 2*time.Second {
		t.Errorf("interrupted, it ended after %v with %v", time.Since(began), err)
	}
}

// On a disk that cannot be written, no set is dropped and no space is freed,
// and the error says why.
func TestDroppingOnADiskThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	mount(t, dir, "size=24m,mode=0700")
	at := place.Directory(filepath.Join(dir, "repository"))
	copyInto(t, filepath.Join(dir, "repository"))
	r := open(t, at)
	old := aSet("demo", 1, holdfast.Proven)
	for n := range 2 {
		if err := store(t.Context(), r, aSet("demo", n+1, holdfast.Proven), nil); err != nil {
			t.Fatal(err)
		}
	}
	untouched := func(err error, want holdfast.Class) {
		t.Helper()
		class(t, err, want)
		if why, _ := holdfast.Advice(err); why != "No set was dropped and no space was freed; every set "+
			"is unchanged." {
			t.Errorf("it says: %s", why)
		}
		if list := sets(t, open(t, at), ""); len(list) != 2 {
			t.Errorf("the sets are %v", list)
		}
	}
	attempt := func(r *repository.Repository) error {
		return r.Drop(t.Context(), "demo", func(context.Context) ([]holdfast.SetID, error) {
			return []holdfast.SetID{old.ID}, nil
		})
	}
	full := filepath.Join(dir, "something else")
	if err := os.WriteFile(full, make([]byte, 40<<20), 0o600); err == nil {
		t.Fatal("the disk is larger than it should be")
	}
	untouched(attempt(r), holdfast.NoSpace)
	_, err := r.Maintain(t.Context(), true)
	untouched(err, holdfast.NoSpace)
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	untouched(attempt(open(t, at)), holdfast.ReadOnly)
	_, err = open(t, at).Maintain(t.Context(), true)
	untouched(err, holdfast.ReadOnly)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if err := attempt(open(t, at)); err != nil {
		t.Errorf("with a disk that can be written: %v", err)
	}
	if _, err := open(t, at).Maintain(t.Context(), true); err != nil {
		t.Error(err)
	}
}
