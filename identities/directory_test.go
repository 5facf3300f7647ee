package identities_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/identities"
	"holdfast/identities/identitiestest"
)

// keeperIn keeps in a directory.
func keeperIn(t *testing.T, dir string) identities.Keeper {
	t.Helper()
	return identities.Directory(dir)
}

func TestUnchangedIdentitiesAreKeptOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "safe", "identities")
	keeper := keeperIn(t, dir)
	key, recipient := recoveryKey(t)
	_, second := recoveryKey(t)
	type opts = identitiestest.Options

	keep := func(o opts, to ...string) (identities.Kept, bool) {
		t.Helper()
		raw := identitiestest.New("alice", [32]byte{6}, o).JSON
		dump := parse(t, raw)
		name := identities.FileName(dump.ID, dump.Content(), must(identities.ParseRecipients(to)))
		kept, written, err := keeper.Keep(t.Context(), name, seal(t, raw, to...))
		if err != nil {
			t.Fatal(err)
		}
		return kept, written
	}
	first, written := keep(opts{}, recipient)
	if !written {
		t.Error("the first is not written")
	}
	for _, c := range []struct {
		name    string
		o       opts
		to      []string
		written bool
	}{
		{"the same again", opts{}, []string{recipient}, false},
		{"from another release, in place of the first", opts{Version: "0.7.5"}, []string{recipient}, true},
		{"to one recipient more", opts{}, []string{recipient, second}, true},
		{"to both the other way round", opts{}, []string{second, recipient}, false},
		{"after a rotation", opts{Rotations: 1}, []string{recipient}, true},
	} {
		if _, written := keep(c.o, c.to...); written != c.written {
			t.Errorf("%s: written %t", c.name, written)
		}
	}

	list, err := keeper.List(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("got %d files, %v", len(list), err)
	}
	for n, kept := range list {
		info := must(os.Stat(kept.Where))
		if info.Mode().Perm() != 0o600 || kept.Size != info.Size() || n > 0 && kept.Written.After(list[n-1].Written) {
			t.Errorf("%s has mode %v", kept.Name, info.Mode())
		}
	}
	if info := must(os.Stat(dir)); info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v", info.Mode())
	}
	if got, err := open(must(os.ReadFile(first.Where)), key); err != nil || parse(t, got).ID == "" {
		t.Errorf("what is kept does not open: %v", err)
	}
}

func TestADamagedFileIsWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	keeper := keeperIn(t, dir)
	_, recipient := recoveryKey(t)
	sealed := seal(t, []byte("the dump"), recipient)
	const name = "identities-alice-00000000-000000000000-000000.json.age"
	for _, there := range [][]byte{{}, []byte("nothing"), sealed[:len(sealed)-1], make([]byte, len(sealed))} {
		if err := os.WriteFile(filepath.Join(dir, name), there, 0o600); err != nil {
			t.Fatal(err)
		}
		kept, written, err := keeper.Keep(t.Context(), name, sealed)
		if err != nil || !written || !bytes.Equal(must(os.ReadFile(kept.Where)), sealed) {
			t.Errorf("over %d bytes: written %t, %v", len(there), written, err)
		}
	}
	if entries := must(os.ReadDir(dir)); len(entries) != 1 {
		t.Errorf("%d files are left behind", len(entries))
	}
}

func TestAFileNameIsSafeAndTellsTheNode(t *testing.T) {
	content := strings.Repeat("ab", 32)
	rule := regexp.MustCompile(`^identities-[A-Za-z0-9_-]+-[0-9a-f]{8}-abababababab-[0-9a-f]{6}\.json\.age$`)
	for _, id := range []string{
		"PAR::alice-validator-1::1220" + strings.Repeat("cd", 32),
		"PAR::../../etc/passwd::1220" + strings.Repeat("cd", 32),
		"PAR::" + strings.Repeat("long ", 40) + "::1220" + strings.Repeat("cd", 32),
		"PAR::é::1220zz", "", "::",
	} {
		if name := identities.FileName(id, content, nil); !rule.MatchString(name) {
			t.Errorf("%q becomes %q", id, name)
		}
	}
	if name := identities.FileName("PAR::alice::1220"+strings.Repeat("cd", 32), content, nil); !strings.HasPrefix(name, "identities-alice-cdcdcdcd-abababababab-") {
		t.Errorf("got %s", name)
	}
}

func TestKeepAndListInPlacesThatDoNotServe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const name = "identities-alice-00000000-000000000000-000000.json.age"
	_, _, err := keeperIn(t, filepath.Join(file, "below")).Keep(t.Context(), name, []byte("x"))
	expect(t, err, holdfast.Failed, "keep the identities in "+file, "mounted")
	_, err = keeperIn(t, file).List(t.Context())
	expect(t, err, holdfast.Failed, file, "mounted")
	if list, err := keeperIn(t, filepath.Join(t.TempDir(), "not-yet")).List(t.Context()); err != nil || list != nil {
		t.Errorf("a directory that is not there yet: %v, %v", list, err)
	}
	for _, name := range []string{"../identities-x.json.age", "secret.json", ""} {
		if _, _, err := keeperIn(t, t.TempDir()).Keep(t.Context(), name, []byte("x")); err == nil {
			t.Errorf("%q passes for a name", name)
		}
	}
}

func TestListIgnoresWhatIsNotSealedIdentities(t *testing.T) {
	dir := t.TempDir()
	for n, name := range []string{"README", "identities-a-1.json.age", ".identities-123", "identities-plain.json", "identities-b-2.json.age"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1_700_000_000+int64(n), 0)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	list, err := keeperIn(t, dir).List(t.Context())
	if err != nil || len(list) != 2 || list[0].Name != "identities-b-2.json.age" {
		t.Errorf("got %v, %v", list, err)
	}
}

// A name says what it stands for, whoever can open it.
func TestNamesOfOneContent(t *testing.T) {
	id, a, b := "PAR::alice::1220"+strings.Repeat("cd", 32), strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	_, first := recoveryKey(t)
	_, second := recoveryKey(t)
	name := func(content string, to ...string) string {
		return identities.FileName(id, content, must(identities.ParseRecipients(to)))
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{name(a, first), name(a, first), true},
		{name(a, first), name(a, first, second), true},
		{name(a, first), identities.ClearName(id, a), true},
		{name(a, first), name(b, first), false},
		{identities.ClearName(id, a), identities.ClearName(id, b), false},
		{"", name(a, first), false},
		{"x.json.age", name(a, first), false},
	} {
		if got := identities.SameContent(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}
