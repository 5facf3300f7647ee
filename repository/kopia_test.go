package repository_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
)

// kopia is the kopia command of the very version that is linked in, built once
// and kept.
func kopia(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("HOLDFAST_TEST_KOPIA"); path != "" {
		return path
	}
	cache := os.Getenv("HOLDFAST_TESTBED")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			t.Skipf("needs HOLDFAST_TESTBED, a directory to keep a built kopia in: %v", err)
		}
		cache = filepath.Join(base, "holdfast-testbed")
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", "github.com/kopia/kopia").Output()
	version, dir, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || !ok {
		t.Fatalf("go list: %q, %v", out, err)
	}
	path := filepath.Join(cache, "kopia-"+strings.TrimPrefix(version, "v"))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	// In its own module: the command needs more than the library we link.
	fresh := path + ".new"
	build := exec.Command("go", "build", "-tags", "nohtmlui", "-o", fresh, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("needs the kopia command (HOLDFAST_TEST_KOPIA), which could not be built: %v: %.300s", err, out)
	}
	if err := os.Rename(fresh, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// shell runs kopia as an operator would who has nothing else.
type shell struct {
	t       *testing.T
	program string
	home    string
}

func (s shell) run(args ...string) []byte {
	s.t.Helper()
	cmd := exec.Command(s.program, args...)
	cmd.Env = append(os.Environ(), "HOME="+s.home, "XDG_CONFIG_HOME="+s.home, "XDG_CACHE_HOME="+s.home,
		"KOPIA_PASSWORD="+password, "KOPIA_CHECK_FOR_UPDATES=false")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("kopia %v: %v\n%s", args, err, complaint.String())
	}
	return out.Bytes()
}

// No lock-in: the kopia command alone lists, verifies, restores and maintains
// what Holdfast stored.
func TestKopiaAloneReadsAndKeepsTheSets(t *testing.T) {
	// The kopia command does not know how repositories of the other tests make
	// their key.
	defer repository.SetKeyDerivation(repository.SetKeyDerivation("scrypt-65536-8-1"))
	s := shell{t, kopia(t), t.TempDir()}
	dir := filepath.Join(t.TempDir(), "repository")
	at := place.Directory(dir)
	if err := repository.Create(t.Context(), at, holdfast.NewSecret(password)); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"app/data/public.large/0000000000.copy":  random(1, 7<<20),
		"app/data/public.large/0000002048.copy":  random(2, 3<<20),
		"app/data/public.empty/0000000000.copy":  {},
		"app/data/a%2Fb.%22c%22/0000000000.copy": []byte("names are only names\n"),
	}
	want := aSet("demo", 1, holdfast.Proven, slices.Sorted(maps.Keys(files))...)
	if err := store(t.Context(), open(t, at), want, files); err != nil {
		t.Fatal(err)
	}
	misordered := aSet("demo", 2, holdfast.Misordered)
	if err := store(t.Context(), open(t, at), misordered, nil); err != nil {
		t.Fatal(err)
	}

	s.run("repository", "connect", "filesystem", "--path", dir)
	var list []struct {
		ID     string
		Source struct{ Host, UserName, Path string }
		Tags   map[string]string
	}
	text := s.run("snapshot", "list", "--all", "--json")
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if len(list) != 2 {
		t.Fatalf("kopia lists %s", text)
	}
	first := list[0]
	if first.Source.UserName != "demo" || first.Source.Host != "holdfast" || first.Source.Path != "/demo" {
		t.Errorf("the source is %+v", first.Source)
	}
	tags := map[string]string{"tag:node": "demo", "tag:set": string(want.ID), "tag:state": "proven"}
	var summary record.Summary
	if err := json.Unmarshal([]byte(first.Tags["tag:summary"]), &summary); err != nil || !summary.At.Equal(want.Began.Wall) {
		t.Errorf("the summary is %q: %v", first.Tags["tag:summary"], err)
	}
	delete(first.Tags, "tag:summary")
	if !maps.Equal(first.Tags, tags) {
		t.Errorf("the tags are %v, want %v", first.Tags, tags)
	}
	if text := s.run("snapshot", "list", "--all", "--tags",
		"set:"+string(want.ID)); !strings.Contains(string(text), "demo@holdfast:/demo") {
		t.Errorf("by its tag, as the README says, kopia finds %s", text)
	}

	restored := filepath.Join(t.TempDir(), "set")
	s.run("snapshot", "restore", first.ID, restored)
	compare(t, open(t, at), want, restored)

	s.run("snapshot", "verify", "--verify-files-percent=100")
	to := filepath.Join(t.TempDir(), "copy")
	if _, err := open(t, at).CopyTo(t.Context(), place.Directory(to)); err != nil {
		t.Fatal(err)
	}
	s.run("repository", "connect", "filesystem", "--path", to)
	s.run("snapshot", "verify", "--verify-files-percent=100")
	if text := s.run("snapshot", "list", "--all", "--tags", "set:"+string(want.ID)); len(text) == 0 {
		t.Error("kopia does not list the set in the copy")
	}
	// Maintenance is Holdfast's; another user has to take its name to run it.
	s.run("repository", "connect", "filesystem", "--path", dir, "--override-username=holdfast",
		"--override-hostname=holdfast")
	s.run("maintenance", "run", "--full", "--safety=none")
	s.run("snapshot", "verify", "--verify-files-percent=100")
	if got := sets(t, open(t, at), "demo"); len(got) != 2 {
		t.Errorf("after kopia's maintenance there are %v", got)
	}
	compare(t, open(t, at), want, restored)
	if err := store(t.Context(), open(t, at), aSet("demo", 3, holdfast.Proven), nil); err != nil {
		t.Errorf("the next run after kopia's maintenance: %v", err)
	}
}

// compare holds what kopia restored against what Holdfast reads, byte by byte.
func compare(t *testing.T, r *repository.Repository, set *holdfast.Set, dir string) {
	t.Helper()
	_, files, err := r.Find(t.Context(), set.Node.Name, string(set.ID))
	if err != nil {
		t.Fatal(err)
	}
	want := append(set.FileNames(), holdfast.ManifestName)
	slices.Sort(want)
	var got []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		got = append(got, name)
		content, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(content, repositorytest.Read(t, files, name)) {
			t.Errorf("kopia and Holdfast read %s differently", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("kopia restored %v, want %v", got, want)
	}
}
