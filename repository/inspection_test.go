package repository_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
	"holdfast/stored"
	"holdfast/verify"
)

// Of a set whose manifest is of a later version nothing is known, and nothing is said
// to be wrong with it: what it takes to know is said.
func TestASetOfALaterVersion(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		const name = "app/data/public.t/0000000000.copy"
		set := aSet("demo", 1, holdfast.Proven, name)
		set.Schema, set.Holdfast = holdfast.ManifestSchema+1, "9.1.0"
		if err := store(t.Context(), r, set, map[string][]byte{name: random(1, 1<<10)}); err != nil {
			t.Fatal(err)
		}
		i, err := r.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found, err := i.Holdings(t.Context())
		if err != nil || len(found) != 1 || !found[0].Later ||
			!strings.Contains(found[0].Trouble, `by Holdfast "9.1.0"`) {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

// two stores two sets.
func two(t *testing.T, s *site) place.Place {
	t.Helper()
	at := s.make1(t)
	r := open(t, at)
	for n := 1; n < 3; n++ {
		const name = "app/data/public.t/0000000000.copy"
		if err := store(t.Context(), r, aSet("demo", n, holdfast.Proven, name),
			map[string][]byte{name: random(uint64(n), 3<<20)}); err != nil {
			t.Fatal(err)
		}
	}
	return at
}

// inspected looks at a repository: how many sets, and which damage.
func inspected(t *testing.T, at place.Place) ([]stored.Set, *repository.Inspection) {
	t.Helper()
	i, err := open(t, at).Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h, err := i.Holdings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h, i
}

func whole(h []stored.Set) bool {
	return len(h) == 2 && !slices.ContainsFunc(h, func(h stored.Set) bool {
		return h.Trouble != "" || len(h.Damages) > 0 || slices.ContainsFunc(h.Files, func(f stored.File) bool {
			return len(f.Damages) > 0
		})
	})
}

// A damaged index closes the whole repository, and one that is gone hides sets
// silently. Both are rebuilt from the data.
func TestTheIndexIsRebuilt(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		for name, damage := range map[string]func(testing.TB, place.Place, blob.ID){
			"altered": flipBlob, "gone": removeBlob,
		} {
			t.Run(name, func(t *testing.T) {
				at := two(t, s)
				for _, id := range names(t, at, "xn") {
					damage(t, at, id)
				}
				if name == "gone" {
					if h, i := inspected(t, at); len(h) != 0 || i.Stock().Orphans == 0 {
						t.Fatalf("%d sets, %+v", len(h), i.Stock())
					}
				} else {
					_, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), by(at))
					class(t, err, holdfast.Violation)
				}
				done, err := repository.RebuildIndex(t.Context(), at, holdfast.NewSecret(password), by(at))
				if err != nil || done.Pieces == 0 || len(done.Unreadable) > 0 ||
					(name == "altered") != (len(done.Renamed) > 0) {
					t.Fatalf("%v: %+v", err, done)
				}
				if h, i := inspected(t, at); !whole(h) {
					t.Errorf("afterwards: %+v, %v", h, i.Damages())
				}
			})
		}
	})
}

// The list of sets is stored like anything else. When it is damaged nothing is
// listed any more; mended, the sets are found again by their trees.
func TestLostSetsAreRecovered(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := two(t, s)
		_, i := inspected(t, at)
		if err := i.DamageList(t.Context(), func(name string, offset int64) {
			content := readBlob(t, at, blob.ID(name))
			content[offset] ^= 1
			writeBlob(t, at, blob.ID(name), content)
		}); err != nil {
			t.Fatal(err)
		}
		if list, err := open(t, at).Sets(t.Context(), ""); err == nil {
			t.Fatalf("the list is not damaged: %v", list)
		}
		h, i := inspected(t, at)
		if len(h) != 0 || !i.ListDamaged() {
			t.Fatalf("%d sets, damaged: %v", len(h), i.ListDamaged())
		}
		if _, err := i.Mend(t.Context(), i.Damages()); err != nil {
			t.Fatal(err)
		}
		found, err := i.RecoverSets(t.Context())
		if err != nil || len(found) != 2 {
			t.Fatalf("found again: %v, %v", found, err)
		}
		if h, i := inspected(t, at); !whole(h) {
			t.Errorf("afterwards: %+v, %v", h, i.Damages())
		}
		if list := sets(t, open(t, at), "demo"); len(list) != 2 || list[0].State != holdfast.Proven ||
			list[0].Files == 0 {
			t.Errorf("listed: %+v", list)
		}
	})
}

// Flipped bits are counted by the checksums that error correction keeps,
// wherever they are and however large the piece is.
func TestCorrectedDamageIsSeen(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		for _, percent := range []int{1, 2, 5, 20} {
			at := s.within()
			if err := repository.Create(t.Context(), at, holdfast.NewSecret(password), by(at),
				repository.ErrorCorrection(percent)); err != nil {
				t.Fatal(err)
			}
			const large, small = "app/data/public.l/0000000000.copy", "app/data/public.s/0000000000.copy"
			files := map[string][]byte{large: random(3, 1<<20), small: random(4, 700)}
			if err := store(t.Context(), open(t, at), aSet("demo", 1, holdfast.Proven, large, small), files); err != nil {
				t.Fatal(err)
			}
			r := open(t, at)
			look := func() (corrected int) {
				i, err := r.Inspect(t.Context())
				if err != nil || i.CorrectsErrors() != percent {
					t.Fatal(i.CorrectsErrors(), err)
				}
				if err := i.ReadRest(t.Context(), func(_ int64, d *stored.Damage) error {
					if d != nil && d.Kind != stored.Corrected {
						t.Errorf("%d%%: %+v", percent, d)
					}
					if d != nil {
						corrected++
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				return corrected
			}
			if n := look(); n != 0 {
				t.Fatalf("%d%%: %d pieces of a healthy repository are corrected", percent, n)
			}
			flipBlob(t, at, largest(t, at))
			if n := look(); n != 1 {
				t.Errorf("%d%%: %d pieces were corrected, one bit was flipped", percent, n)
			}
			_, got, err := r.Latest(t.Context(), "demo")
			if err != nil || string(repositorytest.Read(t, got, large)) != string(files[large]) {
				t.Errorf("%d%%: it does not read: %v", percent, err)
			}
		}
	})
}

// A repository mounted for reading only is looked at all the same; what it
// cannot remember is an error of its own.
func TestInspectingForReadingOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	mount(t, dir, "size=64m,mode=0700")
	at := place.Directory(filepath.Join(dir, "repository"))
	copyInto(t, filepath.Join(dir, "repository"))
	if err := store(t.Context(), open(t, at), aSet("demo", 1, holdfast.Proven), nil); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	h, i := inspected(t, at)
	if len(h) != 1 || len(i.Damages()) > 0 {
		t.Errorf("%+v, %v", h, i.Damages())
	}
	class(t, i.Remember(t.Context(), record.Verification{}), holdfast.ReadOnly)
	_, err := i.Mend(t.Context(), []stored.Damage{{Piece: "k0102", Kind: stored.Unindexed}})
	if err != nil {
		class(t, err, holdfast.ReadOnly)
	}
}

// A verification is remembered once.
func TestVerificationsAreRemembered(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := two(t, s)
		_, i := inspected(t, at)
		for _, cursor := range []string{"a", "b"} {
			if err := i.Remember(t.Context(), record.Verification{
				Cursor: cursor,
				Sets:   []holdfast.SetID{"one", "two"},
			}); err != nil {
				t.Fatal(err)
			}
		}
		v, err := open(t, at).Verification(t.Context())
		if err != nil || v.Cursor != "b" || !slices.Equal(v.Sets, []holdfast.SetID{"one", "two"}) {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// watched is a repository that is looked at while somebody else is at it.
type watched struct {
	*repository.Inspection
	holdings, remembering func()
}

func (b *watched) Holdings(ctx context.Context) ([]stored.Set, error) {
	b.holdings()
	return b.Inspection.Holdings(ctx)
}

func (b *watched) Remember(ctx context.Context, v record.Verification) error {
	b.remembering()
	return b.Inspection.Remember(ctx, v)
}

// A set that is dropped on purpose is no lost one, at whatever moment of a
// verification that is. One that somebody else removed is.
func TestVerifyingBesideRetention(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := two(t, s)
		r := open(t, at)
		for n := 3; n < 7; n++ {
			storeRows(t, r, n, random(uint64(n), 1<<10))
		}
		list := sets(t, r, "demo")
		next := 0
		dropOne := func() { drop(t, open(t, at), list[next].ID); next++ }
		nobody := func() {}
		calls := 0
		for name, when := range map[string]*watched{
			"while it reads": {holdings: func() {
				if calls++; calls == 2 {
					dropOne()
				}
			}, remembering: nobody},
			"before it is remembered":   {holdings: nobody, remembering: dropOne},
			"between two verifications": {holdings: nobody, remembering: nobody},
			"twice": {holdings: func() {
				if calls++; calls == 2 {
					dropOne()
				}
			}, remembering: dropOne},
		} {
			calls = 0
			verified(t, at, &watched{holdings: nobody, remembering: nobody}, name) // so that all are expected
			verified(t, at, when, name)
			verified(t, at, &watched{holdings: nobody, remembering: nobody}, name+", and after that")
			if name == "between two verifications" {
				dropOne()
				verified(t, at, &watched{holdings: nobody, remembering: nobody}, name)
			}
		}
		if err := open(t, at).Vanish(t.Context(), list[5].ID); err != nil {
			t.Fatal(err)
		}
		if gone := vanished(t, at, &watched{
			holdings:    nobody,
			remembering: nobody,
		}); !strings.Contains(gone, string(list[5].ID)) {
			t.Errorf("removed by somebody else: %q", gone)
		}
	})
}

func verified(t *testing.T, at place.Place, b *watched, when string) {
	t.Helper()
	if gone := vanished(t, at, b); gone != "" {
		t.Errorf("%s: %s", when, gone)
	}
}

// vanished verifies, and gives what the report says of sets that are missing.
func vanished(t *testing.T, at place.Place, b *watched) string {
	t.Helper()
	var err error
	if b.Inspection, err = open(t, at).Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	job := verify.Job{Stock: b, Now: time.Now, Digest: func(in io.Reader, _ string) (int64, string, error) {
		_, err := io.Copy(io.Discard, in)
		return 0, "", err
	}}
	plan, err := job.Plan(t.Context(), verify.Request{Level: verify.Sample, Percent: 100})
	if err != nil {
		t.Fatal(err)
	}
	report, _ := job.Run(t.Context(), plan) // these sets are not what they should be
	for _, f := range report.Findings {
		if f.Code == "sets_vanished" {
			return f.Evidence
		}
	}
	return ""
}

// A storage that goes away is not taken for damage.
func TestAStorageThatGoesAwayIsNotDamage(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := two(t, s)
		_, i := inspected(t, at)
		read := 0
		err := i.ReadRest(t.Context(), func(int64, *stored.Damage) error {
			if read++; read == 3 {
				usual := repository.SetPatience(300 * time.Millisecond) // a busy server may need more
				t.Cleanup(func() { repository.SetPatience(usual) })
				return s.goAway(at)
			}
			return os.WriteFile(filepath.Join(t.TempDir(), "x"), nil, 0o600)
		})
		if holdfast.ClassOf(err) != holdfast.Undetermined && holdfast.ClassOf(err) != holdfast.NoRepository &&
			holdfast.ClassOf(err) != holdfast.Unreachable {
			t.Errorf("class %s: %v", holdfast.ClassOf(err), err)
		}
		if d := i.Damages(); len(d) > 0 {
			t.Errorf("taken for damage: %+v", d)
		}
	})
}

// goAway takes the place away: the directory is another one's, or the server is dead.
func (s *site) goAway(at place.Place) error {
	if s.Kind == place.File {
		return os.Rename(at.Path, at.Path+".gone")
	}
	s.Stop()
	return nil
}
