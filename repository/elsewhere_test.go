package repository_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/internal/storetest"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
)

// created makes a repository in a store.
func created(t *testing.T, s storetest.Store) {
	t.Helper()
	err := repository.Create(t.Context(), s.Place, holdfast.NewSecret(password), repository.By(s.Access))
	if err != nil {
		t.Fatal(err)
	}
}

// In every kind of place a set comes back as it was put, to a machine that has
// only the place and the password; what was dropped is freed. Nothing that opens
// a place stands in a file, whatever is written on the way.
func TestEveryPlaceKeepsSets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storetest.Store) {
		by, temporary := repository.By(s.Access), t.TempDir()
		t.Setenv("TMPDIR", temporary)
		if vacant, err := repository.Vacant(t.Context(), s.Place, by); err != nil || !vacant {
			t.Fatalf("an empty place is vacant: %v, %v", vacant, err)
		}
		created(t, s)
		if vacant, err := repository.Vacant(t.Context(), s.Place, by); err != nil || vacant {
			t.Errorf("a repository is vacant: %v, %v", vacant, err)
		}
		again := repository.Create(t.Context(), s.Place, holdfast.NewSecret(password), by)
		class(t, again, holdfast.Refused)

		first, second := aSet("demo", 1, holdfast.Proven, rows), aSet("demo", 2, holdfast.Proven, rows)
		content := random(1, 6<<20)
		r := open(t, s.Place, by)
		for _, set := range []*holdfast.Set{first, second} {
			if err := store(t.Context(), r, set, map[string][]byte{rows: content}); err != nil {
				t.Fatal(err)
			}
		}
		noSecretIsWritten(t, r, temporary)
		drop(t, r, first.ID)
		maintain(t, r)

		other := open(t, s.Place, by)
		if list := sets(t, other, ""); len(list) != 1 || list[0].ID != second.ID {
			t.Errorf("the sets are %v", list)
		}
		_, files, err := other.Find(t.Context(), "demo", string(second.ID))
		if err != nil {
			t.Fatal(err)
		}
		if got := repositorytest.Read(t, files, rows); string(got) != string(content) {
			t.Errorf("%d bytes came back of %d, or others", len(got), len(content))
		}
		_, err = repository.Open(t.Context(), s.Place, holdfast.NewSecret("another"), by)
		class(t, err, holdfast.WrongKey)
	})
}

// A machine or a pod with an identity of its own needs no credentials in a file, and
// one without any is named.
func TestAzureByTheIdentityOfTheMachine(t *testing.T) {
	s := storetest.AzureIdentity(t)
	t.Run("of another machine", func(t *testing.T) {
		t.Setenv("IDENTITY_HEADER", "another-machine")
		named(t, "a machine without an identity", s.Place, s.Access, "no credentials for azblob")
	})
	created(t, s)
	if list := sets(t, open(t, s.Place, repository.By(s.Access)), ""); len(list) != 0 {
		t.Errorf("there are sets: %v", list)
	}
	t.Run("of its workload", func(t *testing.T) {
		t.Setenv("IDENTITY_HEADER", "another-machine")
		login, token := storetest.AzureWorkload(t)
		defer repository.SetAzureLogin(login)()
		if list := sets(t, open(t, s.Place, repository.By(s.Access)), ""); len(list) != 0 {
			t.Errorf("there are sets: %v", list)
		}
		if err := os.WriteFile(token, []byte("of another cluster"), 0o600); err != nil {
			t.Fatal(err)
		}
		named(t, "a pod of another cluster", s.Place, s.Access, "no credentials for azblob")
	})
}

func TestAzureByASignature(t *testing.T) {
	s := storetest.AzureSignature(t)
	created(t, s)
	if list := sets(t, open(t, s.Place, repository.By(s.Access)), ""); len(list) != 0 {
		t.Errorf("there are sets: %v", list)
	}
}

// What is wrong with a place is named within seconds, whatever kopia would
// retry.
func TestAPlaceThatDoesNotServeIsNamed(t *testing.T) {
	for name, start := range map[string]func(testing.TB) storetest.Store{
		"s3": storetest.S3, "gs": storetest.GCS, "azblob": storetest.Azure,
	} {
		t.Run(name, func(t *testing.T) { doesNotServe(t, start(t)) })
	}
}

func doesNotServe(t *testing.T, s storetest.Store) {
	created(t, s)
	elsewhere := s.Place
	elsewhere.Bucket = "no-such-bucket"
	named(t, "a bucket that is not", elsewhere, s.Access, "no such bucket")
	if s.Wrong != nil { // an imitation that asks for nothing refuses nobody
		named(t, "another secret key", s.Place, *s.Wrong, "refuses access")
	}
	t.Cleanup(repository.SetTimes(time.Second, time.Second))
	s.Pause()
	named(t, "a server that is silent", s.Place, s.Access, "does not answer")
	s.Resume()
	s.Stop()
	named(t, "a server that is gone", s.Place, s.Access, "does not answer")
}

func named(t *testing.T, name string, at place.Place, by repository.Access, says string) {
	t.Helper()
	began := time.Now()
	_, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), repository.By(by))
	if err == nil {
		t.Errorf("%s: it opened", name)
		return
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v", name, err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("%s was named after %v", name, took)
	}
	if _, do := holdfast.Advice(err); !strings.Contains(do, "`holdfast ") {
		t.Errorf("%s has no command to type: %s", name, do)
	}
	for _, secret := range storetest.Secrets() {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s shows a secret: %v", name, err)
		}
	}
}

// A server that is killed in the middle of a set costs that set, and nothing
// that was stored: the next run sends the rest.
func TestAServerThatIsKilledInTheMiddleOfASet(t *testing.T) {
	s := storetest.S3(t)
	created(t, s)
	by := repository.By(s.Access)
	t.Cleanup(repository.SetTimes(15*time.Second, 15*time.Second))
	const segment, before, after = 4 << 20, 5, 2
	files := map[string][]byte{}
	var names []string
	for n := range before + after {
		names = append(names, fmt.Sprintf("app/data/public.t/%010d.copy", n))
		files[names[n]] = random(uint64(n+7), segment) //nolint:gosec // small
	}
	r := open(t, s.Place, by, repository.IndexEvery(segment))
	set := aSet("demo", 1, holdfast.Proven, names...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := r.Write(ctx, "backup", func(ctx context.Context, w holdfast.SetWriter) error {
		for n, name := range names {
			if n == before {
				s.Stop()
			}
			if err := put(ctx, w, name, files[name]); err != nil {
				return err
			}
		}
		return w.Seal(ctx, set)
	})
	if err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Fatalf("a set on a server that was killed: %v", err)
	}
	s.Start(t)
	r = open(t, s.Place, by)
	if list := sets(t, r, ""); len(list) != 0 {
		t.Errorf("there are sets: %v", list)
	}
	if err := store(t.Context(), r, set, files); err != nil {
		t.Fatal(err)
	}
	if sent := r.Traffic().Sent; sent < after*segment || sent > (after+1)*segment {
		t.Errorf("the next run sent %d bytes of %d", sent, len(names)*segment)
	}
	_, stored, err := r.Find(t.Context(), "demo", string(set.ID))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got := repositorytest.Read(t, stored, name); string(got) != string(want) {
			t.Errorf("%s came back different", name)
		}
	}
}

// A lock in a bucket is held by one at a time, outlives no dead holder for
// long, and is lost by a holder that slept: he deletes nothing more.
func TestLocksInABucket(t *testing.T) {
	s := storetest.S3(t)
	created(t, s)
	defer repository.SetLock(50*time.Millisecond, 3*time.Second)()
	one, two := open(t, s.Place, repository.By(s.Access)), open(t, s.Place, repository.By(s.Access))
	release, err := one.HoldMaintenance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second) // renewed, it lives on
	_, err = two.HoldMaintenance(t.Context())
	class(t, err, holdfast.Busy)
	release()
	again, err := two.HoldMaintenance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer again()

	undo := repository.SetLock(time.Hour, 3*time.Second) // as if it slept: nothing renews it
	defer undo()
	var his blob.Storage
	sleeper := open(t, s.Place, repository.By(s.Access), repository.Through(func(st blob.Storage) blob.Storage {
		his = st
		return st
	}))
	slept, err := sleeper.HoldHistory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer slept()
	if _, err := one.HoldHistory(t.Context()); holdfast.ClassOf(err) != holdfast.Busy {
		t.Errorf("two hold one lock: %v", err)
	}
	for _, id := range []blob.ID{"pone", "ptwo"} {
		if err := his.PutBlob(t.Context(), id, repository.Text("data"), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := his.DeleteBlob(t.Context(), "pone"); err != nil {
		t.Errorf("the holder may not delete: %v", err)
	}
	time.Sleep(4 * time.Second)
	next, err := one.HoldHistory(t.Context())
	if err != nil {
		t.Errorf("a dead holder holds on: %v", err)
	} else {
		next()
	}
	err = his.DeleteBlob(t.Context(), "ptwo")
	class(t, err, holdfast.Failed)
	if err == nil || !strings.Contains(err.Error(), "was not renewed") {
		t.Errorf("who slept deletes: %v", err)
	}
	if _, err := his.GetMetadata(t.Context(), "ptwo"); err != nil {
		t.Errorf("what was not deleted: %v", err)
	}
}

// noSecretIsWritten looks for what opens a place in the files of a directory
// while a set is written.
func noSecretIsWritten(t *testing.T, r *repository.Repository, dir string) {
	t.Helper()
	err := r.Write(t.Context(), "backup", func(context.Context, holdfast.SetWriter) error {
		return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			for _, secret := range storetest.Secrets() {
				if strings.Contains(string(text), secret) {
					t.Errorf("%s has a secret", path)
				}
			}
			return err
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// A second copy is a repository: another machine reads every set from it. It
// takes what is missing, and nothing of another repository.
func TestASecondCopyIsARepository(t *testing.T) {
	at, _ := make1(t)
	s := storetest.WebDAV(t)
	by := repository.By(s.Access)
	r := open(t, at)
	first, second := storeRows(t, r, 1, random(1, 3<<20)), storeRows(t, r, 2, random(2, 3<<20))
	sent, err := r.CopyTo(t.Context(), s.Place, by)
	if err != nil || sent.Sets != 2 || sent.Bytes < 6<<20 {
		t.Fatalf("%+v, %v", sent, err)
	}
	again, err := r.CopyTo(t.Context(), s.Place, by)
	if err != nil || again.Sets != 0 || again.Pieces != 0 || again.Present != 2 {
		t.Errorf("nothing is new, and yet: %+v, %v", again, err)
	}
	third := storeRows(t, r, 3, random(3, 1<<20))
	if _, err := r.CopyTo(t.Context(), s.Place, by); err != nil {
		t.Fatal(err)
	}
	there := open(t, s.Place, by)
	for n, set := range map[uint64]*holdfast.Set{1: first, 2: second, 3: third} {
		_, files, err := there.Find(t.Context(), "demo", string(set.ID))
		if err != nil {
			t.Fatal(err)
		}
		if got := repositorytest.Read(t, files, rows); string(got) != string(random(n, len(got))) || len(got) == 0 {
			t.Errorf("set %d came back different", n)
		}
	}
	foreign := filepath.Join(t.TempDir(), "foreign")
	if err := repository.Create(t.Context(), place.Directory(foreign), holdfast.NewSecret(password)); err != nil {
		t.Fatal(err)
	}
	_, err = r.CopyTo(t.Context(), place.Directory(foreign))
	class(t, err, holdfast.Refused)
	_, err = r.CopyTo(t.Context(), at)
	class(t, err, holdfast.Usage)
}
