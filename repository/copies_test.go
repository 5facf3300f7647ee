package repository_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/content"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
	"holdfast/stored"
)

// damages are what a disk does to a file.
func damages(t *testing.T, path string) map[string]func() error {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) func() error { return func() error { return os.WriteFile(path, b, 0o600) } }
	out := map[string]func() error{
		"gone": func() error { return os.Remove(path) }, "empty": write(nil), "cut": write(content[:len(content)/2]),
		"zeros": write(make([]byte, len(content))), "something else": write([]byte("<html>502 Bad Gateway</html>")),
	}
	for at := 0; at < len(content); at += 1 + len(content)/16 {
		flipped := bytes.Clone(content)
		flipped[at] ^= 4
		out[fmt.Sprintf("bit of byte %d of %d flipped", at, len(content))] = write(flipped)
	}
	return out
}

// vitalFile is the file of a blob at the root of a repository.
func vitalFile(t *testing.T, dir, prefix string) string {
	t.Helper()
	list := blobFiles(t, dir, prefix)
	if len(list) != 1 {
		t.Fatalf("%d files of blobs %s: %v", len(list), prefix, list)
	}
	return list[0]
}

const keyCopy, settingsCopy = "holdfast-copy-*-kopia.repository", "holdfast-copy-*-kopia.blobcfg"

// copies lists the names of the copies of kopia.repository in a repository.
func copies(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, f := range blobFiles(t, dir, "holdfast-copy-") {
		rel, _ := filepath.Rel(dir, f)
		if ok, _ := filepath.Match(keyCopy, blobName(rel)); ok {
			names = append(names, blobName(rel))
		}
	}
	return names
}

// Vital blobs are restored after every kind of damage, and the sets are
// readable again.
func TestVitalBlobsAreRestored(t *testing.T) {
	for _, blob := range []string{"kopia.repository", "kopia.blobcfg"} {
		at, dir := two(t)
		path := vitalFile(t, dir, blob)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, damage := range damages(t, path) {
			t.Run(blob+"/"+name, func(t *testing.T) {
				if err := damage(); err != nil {
					t.Fatal(err)
				}
				r, err := repository.Open(t.Context(), at, holdfast.NewSecret(password))
				if err == nil { // a byte that means nothing, or the settings are not missed
					_ = r.Close(t.Context())
				} else if class(t, err, holdfast.Violation); !strings.Contains(err.Error(), blob) {
					t.Errorf("it says %v", err)
				} else if _, do := holdfast.Advice(err); !strings.Contains(do, "`holdfast verify --repair`") {
					t.Errorf("it advises %q", do)
				}
				opened := err == nil
				put, err := repository.PutBack(t.Context(), at, holdfast.NewSecret(password))
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
				if after, _ := os.ReadFile(path); !bytes.Equal(after, before) &&
					(!opened || blob != "kopia.repository") {
					t.Errorf("%s is not what it was", blob)
				}
				if err := os.WriteFile(path, before, 0o600); err != nil {
					t.Fatal(err)
				}
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
}

// Both at once. A wrong password is not mistaken for damage, nor damage for a
// wrong password.
func TestWrongPasswordsAndDamage(t *testing.T) {
	at, dir := two(t)
	wrong := holdfast.NewSecret("another password")
	_, err := repository.Open(t.Context(), at, wrong)
	class(t, err, holdfast.WrongKey)
	if put, err := repository.PutBack(t.Context(), at, wrong); err != nil || len(put) > 0 {
		t.Errorf("a wrong password: %v, %v", put, err)
	}
	for _, blob := range []string{"kopia.repository", "kopia.blobcfg"} {
		if err := os.WriteFile(vitalFile(t, dir, blob), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = repository.Open(t.Context(), at, wrong)
	class(t, err, holdfast.Violation)
	if _, err := repository.PutBack(t.Context(), at, wrong); err == nil ||
		!strings.Contains(err.Error(), "kopia.repository is damaged") {
		t.Errorf("damaged, and a wrong password: %v", err)
	}
	put, err := repository.PutBack(t.Context(), at, holdfast.NewSecret(password))
	if err != nil || len(put) != 2 {
		t.Fatalf("%v, %+v", err, put)
	}
	if h, _ := inspected(t, at); !whole(h) {
		t.Errorf("afterwards: %+v", h)
	}
	if renamed := blobFiles(t, dir, "holdfast-damaged-"); len(renamed) != 2 {
		t.Errorf("renamed: %v", renamed)
	}
	_, err = repository.Open(t.Context(), place.Directory(t.TempDir()), holdfast.NewSecret(password))
	class(t, err, holdfast.NoRepository)
}

// Without any copy, the error says so.
func TestWithoutACopy(t *testing.T) {
	at, dir := two(t)
	for _, prefix := range []string{"kopia.repository", "holdfast-copy-"} {
		for _, path := range blobFiles(t, dir, prefix) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := repository.Open(t.Context(), at, holdfast.NewSecret(password))
	class(t, err, holdfast.Violation)
	if _, do := holdfast.Advice(err); !strings.Contains(do, "A second copy of the repository has one, too") {
		t.Errorf("it advises %q", do)
	}
	_, err = repository.PutBack(t.Context(), at, holdfast.NewSecret(password))
	class(t, err, holdfast.Violation)
	class(t, repository.Create(t.Context(), at, holdfast.NewSecret(password)), holdfast.Refused)
}

// A copy that was made without hidden files has no .shards, and is read all the same.
func TestACopyWithoutHiddenFiles(t *testing.T) {
	at, dir := two(t)
	if err := os.Remove(filepath.Join(dir, ".shards")); err != nil {
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
	const other = "another long password"
	at, dir := two(t)
	kept := place.Directory(filepath.Join(t.TempDir(), "kept"))
	outside := repository.Copies(kept)
	old := open(t, at, outside)
	storeRows(t, old, 3, nil)
	if err := old.ChangeByKopia(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	_, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), outside)
	class(t, err, holdfast.WrongKey)
	if _, do := holdfast.Advice(err); !strings.Contains(do, "the new one") {
		t.Errorf("it advises %q", do)
	}
	_, err = repository.PutBack(t.Context(), at, holdfast.NewSecret(password), outside)
	class(t, err, holdfast.WrongKey)
	r := repositorytest.Open(t, at, other, outside)
	i, err := r.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	faults, err := i.Faults(t.Context())
	if err != nil || len(faults) == 0 || faults[0].Kind != stored.Outdated {
		t.Errorf("%+v, %v", faults, err)
	}
	before := copies(t, dir)
	storeRows(t, r, 4, nil)
	if after := copies(t, dir); len(after) != 1 || len(before) != 1 || after[0] == before[0] {
		t.Errorf("copies %v, before %v", after, before)
	}
	if there, _ := os.ReadDir(kept.Path); len(there) != 1 || there[0].Name() != copies(t, dir)[0] {
		t.Errorf("kept outside: %v", there)
	}
	if faults, err := i.Faults(t.Context()); err != nil || len(faults) > 0 {
		t.Errorf("%+v, %v", faults, err)
	}
}

// The copy outside of the repository is as good as the one in it.
func TestCopiesOutside(t *testing.T) {
	at, dir := two(t)
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
	file := filepath.Join(kept, copies(t, dir)[0])
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for name, damage := range damages(t, file) {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if faults := look(); len(faults) != 1 || faults[0].Name != file {
			t.Errorf("%s: %+v", name, faults)
		}
		if faults := look(); len(faults) > 0 {
			t.Errorf("%s, mended: %+v", name, faults)
		}
	}
	for _, prefix := range []string{"kopia.repository", "holdfast-copy-"} {
		for _, path := range blobFiles(t, dir, prefix) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	put, err := repository.PutBack(t.Context(), at, holdfast.NewSecret(password), outside)
	if err != nil || len(put) != 1 || put[0].Remedy != file {
		t.Fatalf("%v, %+v", err, put)
	}
	if list := sets(t, open(t, at), "demo"); len(list) != 3 {
		t.Errorf("%d sets", len(list))
	}
}

// Damage of the copies, of the state of maintenance and of session blobs is
// found and repaired. Kopia's maintenance does not touch the copies.
func TestFaultsAreFoundAndRepaired(t *testing.T) {
	clock, at, dir := clocked(t)
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
	if len(copies(t, dir)) != 1 {
		t.Fatalf("copies: %v", blobFiles(t, dir, "holdfast-copy-"))
	}
	session := filepath.Join(dir, "s", "012", "345678901234567-s0123456789abcdef123.f")
	if err := os.MkdirAll(filepath.Dir(session), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		path   string
		part   stored.FaultyPart
		upkeep bool // maintenance suffers
		gone   bool // that it is not there is a fault
	}{
		{"a copy", blobFiles(t, dir, "holdfast-copy-")[0], stored.CopyBlob, false, true},
		{"the schedule of maintenance", vitalFile(t, dir, "kopia.maintenance"), stored.MaintenanceBlob, true, false},
		{"a session", session, stored.SessionBlob, true, false},
	} {
		if c.part == stored.SessionBlob {
			if err := os.WriteFile(session, random(7, 200), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		content, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		for name, damage := range damages(t, c.path) {
			if err := os.WriteFile(c.path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := damage(); err != nil {
				t.Fatal(err)
			}
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
	if len(copies(t, dir)) != 1 {
		t.Errorf("after maintenance: %v", blobFiles(t, dir, "holdfast-copy-"))
	}
	if h, _ := inspected(t, at); !whole(h) {
		t.Errorf("afterwards: %+v", h)
	}
}
