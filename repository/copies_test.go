package repository_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/content"
	"holdfast/internal/storetest"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
	"holdfast/stored"
)

// Vital blobs are restored after every kind of damage, and the sets are
// readable again.
func TestVitalBlobsAreRestored(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		for _, vital := range []blob.ID{"kopia.repository", "kopia.blobcfg"} {
			at := two(t, s)
			before := readBlob(t, at, vital)
			for name, damage := range damages(t, at, vital) {
				t.Run(string(vital)+"/"+name, func(t *testing.T) {
					damage()
					r, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), by(at))
					if err == nil { // a byte that means nothing, or the settings are not missed
						_ = r.Close(t.Context())
					} else if class(t, err, holdfast.Violation); !strings.Contains(err.Error(), string(vital)) {
						t.Errorf("it says %v", err)
					} else if _, do := holdfast.Advice(err); !strings.Contains(do, "`holdfast verify --repair`") {
						t.Errorf("it advises %q", do)
					}
					opened := err == nil
					put, err := repository.PutBack(t.Context(), at, holdfast.NewSecret(password), by(at))
					if err != nil || opened != (len(put) == 0) || !opened && !put[0].Mended {
						t.Fatalf("%v, %+v", err, put)
					}
					h, i := inspected(t, at)
					if !whole(h) {
						t.Errorf("afterwards: %+v, %v", h, i.Damages())
					}
					faults, err := i.Faults(t.Context())
					if err == nil && len(faults) > 0 {
						faults, err = i.MendFaults(t.Context(), faults)
					}
					if err != nil || opened != (len(faults) > 0) {
						t.Errorf("faults %+v, %v", faults, err)
					}
					if after := readBlob(t, at, vital); !bytes.Equal(after, before) &&
						(!opened || vital != "kopia.repository") {
						t.Errorf("%s is not what it was", vital)
					}
					writeBlob(t, at, vital, before)
					if _, err := i.MendFaults(t.Context(), []stored.Fault{{Part: stored.CopyBlob}}); err != nil {
						t.Fatal(err)
					}
				})
			}
			r := open(t, at)
			set, got, err := r.Latest(t.Context(), "demo")
			if err != nil ||
				!bytes.Equal(repositorytest.Read(t, got,
					set.Captures[0].Content.(content.Rows).Tables[0].Segments[0].File), random(2, 3<<20)) {
				t.Errorf("the set does not read: %v", err)
			}
		}
	})
}

// Both at once. A wrong password is not mistaken for damage, nor damage for a
// wrong password.
func TestWrongPasswordsAndDamage(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := two(t, s)
		wrong := holdfast.NewSecret("another password")
		_, err := repository.Open(t.Context(), at, wrong, by(at))
		class(t, err, holdfast.WrongKey)
		if put, err := repository.PutBack(t.Context(), at, wrong, by(at)); err != nil || len(put) > 0 {
			t.Errorf("a wrong password: %v, %v", put, err)
		}
		for _, id := range []blob.ID{"kopia.repository", "kopia.blobcfg"} {
			writeBlob(t, at, id, []byte("{}"))
		}
		_, err = repository.Open(t.Context(), at, wrong, by(at))
		class(t, err, holdfast.Violation)
		if _, err := repository.PutBack(t.Context(), at, wrong, by(at)); err == nil ||
			!strings.Contains(err.Error(), "kopia.repository is damaged") {
			t.Errorf("damaged, and a wrong password: %v", err)
		}
		put, err := repository.PutBack(t.Context(), at, holdfast.NewSecret(password), by(at))
		if err != nil || len(put) != 2 {
			t.Fatalf("%v, %+v", err, put)
		}
		if h, _ := inspected(t, at); !whole(h) {
			t.Errorf("afterwards: %+v", h)
		}
		if renamed := names(t, at, "holdfast-damaged-"); len(renamed) != 2 {
			t.Errorf("renamed: %v", renamed)
		}
		_, err = repository.Open(t.Context(), place.Directory(t.TempDir()), holdfast.NewSecret(password))
		class(t, err, holdfast.NoRepository)
	})
}

// Without any copy, the error says so.
func TestWithoutACopy(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := two(t, s)
		for _, prefix := range []blob.ID{"kopia.repository", "holdfast-copy-"} {
			for _, id := range names(t, at, prefix) {
				removeBlob(t, at, id)
			}
		}
		_, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), by(at))
		class(t, err, holdfast.Violation)
		if _, do := holdfast.Advice(err); !strings.Contains(do, "A second copy of the repository has one, too") {
			t.Errorf("it advises %q", do)
		}
		_, err = repository.PutBack(t.Context(), at, holdfast.NewSecret(password), by(at))
		class(t, err, holdfast.Violation)
		class(t, repository.Create(t.Context(), at, holdfast.NewSecret(password), by(at)), holdfast.Refused)
	})
}

// A copy that was made without hidden files has no .shards, and is read all the same.
func TestACopyWithoutHiddenFiles(t *testing.T) {
	s := &site{Store: storetest.Store{Kind: place.File, Place: place.Directory(t.TempDir())}}
	at := two(t, s)
	if err := os.Remove(filepath.Join(at.Path, ".shards")); err != nil {
		t.Fatal(err)
	}
	if list := sets(t, open(t, at), ""); len(list) != 2 {
		t.Errorf("%d sets are listed", len(list))
	}
	storeRows(t, open(t, at), 3, nil)
	if h, i := inspected(t, at); len(h) != 3 || len(i.Damages()) > 0 {
		t.Errorf("%d sets, %v", len(h), i.Damages())
	}
}

// A password that was changed with the kopia command is not damage: the old one
// must not open the repository again. The next run replaces the copies.
func TestAfterAChangeOfPassword(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		const other = "another long password"
		at := two(t, s)
		kept := place.Directory(filepath.Join(t.TempDir(), "kept"))
		outside := repository.Copies(kept)
		old := open(t, at, outside)
		storeRows(t, old, 3, nil)
		if err := old.ChangeByKopia(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		_, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), by(at), outside)
		class(t, err, holdfast.WrongKey)
		if _, do := holdfast.Advice(err); !strings.Contains(do, "the new one") {
			t.Errorf("it advises %q", do)
		}
		_, err = repository.PutBack(t.Context(), at, holdfast.NewSecret(password), by(at), outside)
		class(t, err, holdfast.WrongKey)
		r := repositorytest.Open(t, at, other, by(at), outside)
		i, err := r.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		faults, err := i.Faults(t.Context())
		if err != nil || len(faults) == 0 || faults[0].Kind != stored.Outdated {
			t.Errorf("%+v, %v", faults, err)
		}
		before := copies(t, at)
		storeRows(t, r, 4, nil)
		if after := copies(t, at); len(after) != 1 || len(before) != 1 || after[0] == before[0] {
			t.Errorf("copies %v, before %v", after, before)
		}
		if there, _ := os.ReadDir(kept.Path); len(there) != 1 || there[0].Name() != string(copies(t, at)[0]) {
			t.Errorf("kept outside: %v", there)
		}
		if faults, err := i.Faults(t.Context()); err != nil || len(faults) > 0 {
			t.Errorf("%+v, %v", faults, err)
		}
	})
}

// The copy outside of the repository is as good as the one in it.
func TestCopiesOutside(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := two(t, s)
		kept := filepath.Join(t.TempDir(), "kept")
		safe := filepath.Join(t.TempDir(), "a safe")
		outside := repository.Copies(place.Directory(kept), place.Directory(filepath.Join(safe, "far away")))
		storeRows(t, open(t, at, outside), 3, nil)
		if err := os.RemoveAll(safe); err != nil {
			t.Fatal(err)
		}
		look := func() []stored.Fault {
			t.Helper()
			i, err := open(t, at, outside).Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			faults, err := i.Faults(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if mended, err := i.MendFaults(t.Context(), faults); err != nil || len(mended) != len(faults) {
				t.Fatalf("%+v, %v", mended, err)
			}
			return faults
		}
		if faults := look(); len(faults) > 0 {
			t.Fatalf("of what is whole: %+v", faults)
		}
		file := filepath.Join(kept, string(copies(t, at)[0]))
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		for name, damage := range damagesOf(t, file) {
			damage()
			if faults := look(); len(faults) != 1 || faults[0].Name != file {
				t.Errorf("%s: %+v", name, faults)
			}
			if faults := look(); len(faults) > 0 {
				t.Errorf("%s, mended: %+v", name, faults)
			}
		}
		for _, prefix := range []blob.ID{"kopia.repository", "holdfast-copy-"} {
			for _, id := range names(t, at, prefix) {
				removeBlob(t, at, id)
			}
		}
		put, err := repository.PutBack(t.Context(), at, holdfast.NewSecret(password), by(at), outside)
		if err != nil || len(put) != 1 || put[0].Remedy != file {
			t.Fatalf("%v, %+v", err, put)
		}
		if list := sets(t, open(t, at), "demo"); len(list) != 3 {
			t.Errorf("%d sets", len(list))
		}
	})
}

// Damage of the copies, of the state of maintenance and of session blobs is
// found and repaired. Kopia's maintenance does not touch the copies.
func TestFaultsAreFoundAndRepaired(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		clock, at := clocked(t, s)
		for n := 1; n < 3; n++ {
			storeRows(t, open(t, at), n, random(uint64(n), 1<<20))
		}
		upkeep := func(t *testing.T) error {
			t.Helper()
			clock.pass(25 * time.Hour)
			_, err := open(t, at).Maintain(t.Context(), true)
			return err
		}
		if err := upkeep(t); err != nil {
			t.Fatal(err)
		}
		if len(copies(t, at)) != 1 {
			t.Fatalf("copies: %v", names(t, at, "holdfast-copy-"))
		}
		const session = blob.ID("s012345678901234567-s0123456789abcdef123")
		for _, c := range []struct {
			name   string
			id     blob.ID
			part   stored.FaultyPart
			upkeep bool // maintenance suffers
			gone   bool // that it is not there is a fault
		}{
			{"a copy", names(t, at, "holdfast-copy-")[0], stored.CopyBlob, false, true},
			{"the schedule of maintenance", one(t, at, "kopia.maintenance"), stored.MaintenanceBlob, true, false},
			{"a session", session, stored.SessionBlob, true, false},
		} {
			if c.part == stored.SessionBlob {
				writeBlob(t, at, session, random(7, 200))
			}
			content := readBlob(t, at, c.id)
			for name, damage := range damages(t, at, c.id) {
				writeBlob(t, at, c.id, content)
				damage()
				_, i := inspected(t, at)
				faults, err := i.Faults(t.Context())
				if name == "gone" && !c.gone {
					if err != nil || len(faults) > 0 {
						t.Errorf("%s gone: %+v, %v", c.name, faults, err)
					}
					if err := upkeep(t); err != nil {
						t.Errorf("%s gone: %v", c.name, err)
					}
					continue
				}
				if err != nil || len(faults) != 1 || faults[0].Part != c.part || faults[0].Mended {
					t.Fatalf("%s %s: %+v, %v", c.name, name, faults, err)
				}
				// kopia rewrites packs in one maintenance, and deletes them in the next.
				if name == "cut" {
					rewriting, deleting := upkeep(t), upkeep(t)
					if (rewriting != nil || deleting != nil) != c.upkeep {
						t.Errorf("%s %s: maintenance says %v, and then %v", c.name, name, rewriting, deleting)
					}
				}
				if faults, err = i.MendFaults(t.Context(), faults); err != nil || !faults[0].Mended {
					t.Fatalf("%s %s: %+v, %v", c.name, name, faults, err)
				}
				if faults, err = i.Faults(t.Context()); err != nil || len(faults) > 0 {
					t.Errorf("%s %s, mended: %+v, %v", c.name, name, faults, err)
				}
			}
			if err := upkeep(t); err != nil {
				t.Errorf("after %s: %v", c.name, err)
			}
		}
		if len(copies(t, at)) != 1 {
			t.Errorf("after maintenance: %v", names(t, at, "holdfast-copy-"))
		}
		if h, _ := inspected(t, at); !whole(h) {
			t.Errorf("afterwards: %+v", h)
		}
	})
}
