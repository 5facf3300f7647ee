package repository_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/content"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
)

const password = "a long and random password"

// fresh is a new repository's files: making one takes long, as deriving the
// key from the password is meant to.
var fresh = sync.OnceValues(func() (fs.FS, error) {
	dir, err := os.MkdirTemp("", "holdfast-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := repository.Create(context.Background(), place.Directory(dir),
		holdfast.NewSecret(password)); err != nil {
		return nil, err
	}
	files := fstest.MapFS{}
	return files, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = &fstest.MapFile{Data: content}
		return err
	})
})

// make1 puts a new repository into a temporary directory, for what is about files.
func make1(t testing.TB) (place.Place, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	copyInto(t, dir)
	return place.Directory(dir), dir
}

func copyInto(t testing.TB, dir string) {
	t.Helper()
	files, err := fresh()
	if err != nil {
		t.Fatal(err)
	}
	for path, f := range files.(fstest.MapFS) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t testing.TB, at place.Place, options ...repository.Option) *repository.Repository {
	t.Helper()
	return repositorytest.Open(t, at, password, append([]repository.Option{by(at)}, options...)...)
}

var began = time.Date(2026, 11, 22, 15, 45, 0, 0, time.UTC)

// aSet is a small manifest with files of those names; n distinguishes sets.
func aSet(node holdfast.NodeName, n int, state holdfast.State, files ...string) *holdfast.Set {
	at := began.Add(time.Duration(n) * time.Hour)
	moment := holdfast.Moment{Wall: at}
	s := &holdfast.Set{
		Schema: holdfast.ManifestSchema,
		ID:     holdfast.NewSetID(at, [4]byte{byte(n), 2, 3, 4}),
		Node:   holdfast.Node{Name: node},
		State:  state,
		Began:  moment,
		Ended:  moment,
	}
	rows := content.Rows{Schema: "app/schema.dump", Globals: "app/globals.sql"}
	for _, f := range files {
		rows.Tables = append(rows.Tables, content.Table{Name: f, Segments: []content.Segment{{File: f}}})
	}
	s.Captures = []holdfast.Capture{{
		Method:     holdfast.Dump,
		Components: []holdfast.Captured{{Component: "app", Kind: holdfast.App}},
		Content:    rows,
	}}
	return s
}

func put(ctx context.Context, w holdfast.Sink, name string, content []byte) error {
	_, err := w.Put(ctx, name, func(out io.Writer) error {
		_, err := out.Write(content)
		return err
	})
	return err
}

// fill puts the files that every set of aSet has, and those given.
func fill(ctx context.Context, w holdfast.Sink, files map[string][]byte) error {
	all := map[string][]byte{
		"app/schema.dump":   []byte("PGDMP"),
		"app/globals.sql":   []byte("-- none\n"),
		holdfast.ReadmeName: []byte("# A set\n"),
	}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		if err := put(ctx, w, name, content); err != nil {
			return err
		}
	}
	return nil
}

func store(ctx context.Context, r *repository.Repository, set *holdfast.Set, files map[string][]byte) error {
	return r.Write(ctx, "set", func(ctx context.Context, w holdfast.SetWriter) error {
		if err := fill(ctx, w, files); err != nil {
			return err
		}
		return w.Seal(ctx, set)
	})
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1})
	_, _ = c.Read(b)
	return b
}

func sets(t testing.TB, r *repository.Repository, node holdfast.NodeName) []repository.Entry {
	t.Helper()
	list, err := r.Sets(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// class makes sure that an error is of a class, and says what to do about it.
func class(t testing.TB, err error, want holdfast.Class) {
	t.Helper()
	if holdfast.ClassOf(err) != want {
		t.Errorf("%v is of class %q, want %q", err, holdfast.ClassOf(err), want)
		return
	}
	if _, do := holdfast.Advice(err); do == "" {
		t.Errorf("%v comes without advice", err)
	}
}

func TestASetComesBackAsItWasPut(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		files := map[string][]byte{
			"app/data/public.empty/0000000000.copy": {},
			"app/data/public.small/0000000000.copy": []byte("1\tone\n"),
			"app/data/public.large/0000000000.copy": random(1, 9<<20),
			"app/data/public.large/0000002048.copy": bytes.Repeat([]byte("the same row\n"), 500_000),
			"app/data/a%2Fb.c d/0000000000.copy":    []byte("names are only names\n"),
		}
		var names []string
		for name := range files {
			names = append(names, name)
		}
		want := aSet("demo", 1, holdfast.Proven, names...)
		if err := store(t.Context(), r, want, files); err != nil {
			t.Fatal(err)
		}
		for _, reader := range []*repository.Repository{r, open(t, at)} {
			got, back, err := reader.Find(t.Context(), "demo", string(want.ID))
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != want.ID || got.State != holdfast.Proven ||
				len(got.Captures[0].Content.(content.Rows).Tables) != len(files) {
				t.Errorf("the manifest came back as %+v", got)
			}
			for name, content := range files {
				if !bytes.Equal(repositorytest.Read(t, back, name), content) {
					t.Errorf("%s came back different", name)
				}
			}
		}
		e := sets(t, r, "")[0]
		if e.Files != int64(len(files)+4) || e.State != holdfast.Proven || !e.Began.Equal(want.Began.Wall) ||
			e.Node != "demo" {
			t.Errorf("the listing says %+v", e)
		}
	})
}

// What is not sealed, or sealed in a session that then fails, is no set.
func TestOnlyACompleteSessionIsASet(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		later := open(t, at)
		failure := errors.New("the server closed the connection")
		ok := aSet("demo", 1, holdfast.Proven)
		for _, c := range []struct {
			name  string
			write func(context.Context, holdfast.SetWriter) error
			says  string
		}{
			{"the source fails before the seal", func(ctx context.Context, w holdfast.SetWriter) error {
				if err := fill(ctx, w, nil); err != nil {
					return err
				}
				return failure
			}, failure.Error()},
			{"something fails after the seal", func(ctx context.Context, w holdfast.SetWriter) error {
				if err := fill(ctx, w, nil); err != nil {
					return err
				}
				if err := w.Seal(ctx, ok); err != nil {
					return err
				}
				return failure
			}, failure.Error()},
			{"the seal names a file that was never put", func(ctx context.Context, w holdfast.SetWriter) error {
				if err := fill(ctx, w, nil); err != nil {
					return err
				}
				return w.Seal(ctx, aSet("demo", 1, holdfast.Proven, "app/data/public.t/0000000000.copy"))
			}, "public.t/0000000000.copy, which was not stored"},
			{"the seal names a file whose source failed half-way", func(ctx context.Context, w holdfast.SetWriter) error {
				if err := fill(ctx, w, nil); err != nil {
					return err
				}
				_, err := w.Put(ctx, "app/data/public.t/0000000000.copy", func(out io.Writer) error {
					_, _ = out.Write(random(2, 5<<20))
					return failure
				})
				if !errors.Is(err, failure) {
					return fmt.Errorf("Put returned %w", err)
				}
				return w.Seal(ctx, aSet("demo", 1, holdfast.Proven, "app/data/public.t/0000000000.copy"))
			}, "which was not stored"},
			{"a file is put after the seal", func(ctx context.Context, w holdfast.SetWriter) error {
				if err := fill(ctx, w, nil); err != nil {
					return err
				}
				if err := w.Seal(ctx, ok); err != nil {
					return err
				}
				return put(ctx, w, "late", []byte("too late"))
			}, "sealed"},
			{"it is sealed twice", func(ctx context.Context, w holdfast.SetWriter) error {
				if err := fill(ctx, w, nil); err != nil {
					return err
				}
				return errors.Join(w.Seal(ctx, ok), w.Seal(ctx, ok))
			}, "sealed"},
		} {
			t.Run(c.name, func(t *testing.T) {
				err := r.Write(t.Context(), "set", c.write)
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want an error with %q in it", err, c.says)
				}
				for _, reader := range []*repository.Repository{r, later} {
					if list := sets(t, reader, "demo"); len(list) > 0 {
						t.Errorf("there is a set: %+v", list)
					}
				}
				if err := store(t.Context(), r, aSet("next", 2, holdfast.Proven), nil); err != nil {
					t.Errorf("the next run fails: %v", err)
				}
			})
		}
	})
}

// An error of the node's is not the repository's, whatever it looks like.
func TestAFailingSourceIsNotBlamedOnTheRepository(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		for _, failure := range []error{errors.New("boom"), fs.ErrPermission, fs.ErrNotExist, &holdfast.Problem{
			Class: holdfast.Busy,
			What:  "busy",
		}} {
			err := r.Write(t.Context(), "set", func(context.Context, holdfast.SetWriter) error {
				return fmt.Errorf("capture app: %w", failure)
			})
			if err == nil || err.Error() != "capture app: "+failure.Error() {
				t.Errorf("%v became %v", failure, err)
			}
		}
	})
}

func TestACancelledSessionIsInterrupted(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		ctx, cancel := context.WithCancel(t.Context())
		err := r.Write(ctx, "set", func(ctx context.Context, w holdfast.SetWriter) error {
			if err := fill(ctx, w, nil); err != nil {
				return err
			}
			if err := w.Seal(ctx, aSet("demo", 1, holdfast.Proven)); err != nil {
				return err
			}
			cancel()
			return nil
		})
		if holdfast.ClassOf(err) != holdfast.Interrupted {
			t.Errorf("got %v, of class %s", err, holdfast.ClassOf(err))
		}
		if list := sets(t, r, ""); len(list) > 0 {
			t.Errorf("there is a set: %+v", list)
		}
	})
}

func TestNamesThatLeaveTheSetAreRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		_ = r.Write(t.Context(), "set", func(ctx context.Context, w holdfast.SetWriter) error {
			for _, name := range []string{"", "/etc/passwd", "../up", "a/../b", "a//b", "./a", "a/", "..", "."} {
				if err := put(ctx, w, name, nil); err == nil {
					t.Errorf("a file named %q is taken", name)
				}
			}
			return nil
		})
	})
}

func TestFindingSets(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		ctx := t.Context()
		if s, files, err := r.Latest(ctx, "demo"); err != nil || s.ID != "" || files != nil {
			t.Errorf("an empty repository has a latest set: %v, %v", s.ID, err)
		}
		var all []*holdfast.Set
		for n, state := range []holdfast.State{holdfast.Proven, holdfast.Proven, holdfast.Unproven, holdfast.Misordered,
			holdfast.Mismatched} {
			s := aSet("demo", n, state)
			all = append(all, s)
			if err := store(ctx, r, s, nil); err != nil {
				t.Fatal(err)
			}
		}
		other := aSet("other", 9, holdfast.Proven)
		if err := store(ctx, r, other, nil); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			states []holdfast.State
			want   holdfast.SetID
		}{
			"of any state":       {nil, all[4].ID},
			"proven":             {[]holdfast.State{holdfast.Proven}, all[1].ID},
			"proven or unproven": {[]holdfast.State{holdfast.Proven, holdfast.Unproven}, all[2].ID},
		} {
			if s, _, err := r.Latest(ctx, "demo", c.states...); err != nil || s.ID != c.want {
				t.Errorf("the latest %s is %s, %v; want %s", name, s.ID, err, c.want)
			}
		}
		if len(sets(t, r, "demo")) != 5 || len(sets(t, r, "")) != 6 || len(sets(t, r, "nobody")) != 0 {
			t.Error("a listing has too few or too many sets")
		}
		if !slices.IsSortedFunc(sets(t, r, ""), func(a, b repository.Entry) int { return a.Began.Compare(b.Began) }) {
			t.Error("the listing is not oldest first")
		}
		id := string(all[1].ID)
		for _, text := range []string{id, id[:14], id[len(id)-8:]} {
			if s, _, err := r.Find(ctx, "demo", text); err != nil || s.ID != all[1].ID {
				t.Errorf("%q finds %s, %v", text, s.ID, err)
			}
		}
		for _, text := range []string{"", "2026", "nothing", string(other.ID)} {
			_, _, err := r.Find(ctx, "demo", text)
			class(t, err, holdfast.Usage)
		}
		if s, _, err := r.Find(ctx, "", string(other.ID)); err != nil || s.ID != other.ID {
			t.Errorf("without a node: %s, %v", s.ID, err)
		}
	})
}

func TestAManifestOfALaterVersionIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		later := aSet("demo", 1, holdfast.Proven)
		later.Schema = holdfast.ManifestSchema + 1
		if err := store(t.Context(), r, later, nil); err != nil {
			t.Fatal(err)
		}
		_, _, err := r.Find(t.Context(), "demo", string(later.ID))
		class(t, err, holdfast.Undetermined)
		if len(sets(t, r, "demo")) != 1 {
			t.Error("it is not even listed")
		}
	})
}

// Of directories alone: TestEveryPlaceKeepsSets and TestAPlaceThatDoesNotServeIsNamed have
// the others.
func TestOpeningFailures(t *testing.T) {
	t.Parallel()
	at, dir := make1(t)
	t.Run("wrong password", func(t *testing.T) {
		_, err := repository.Open(t.Context(), at, holdfast.NewSecret("another"))
		class(t, err, holdfast.WrongKey)
		if strings.Contains(err.Error(), "another") {
			t.Error("the error shows the password")
		}
	})
	t.Run("a directory that is not there", func(t *testing.T) {
		_, err := repository.Open(t.Context(), place.Directory(filepath.Join(t.TempDir(), "nowhere")),
			holdfast.NewSecret(password))
		class(t, err, holdfast.NoRepository)
	})
	t.Run("an empty directory, as of a disk that is not mounted", func(t *testing.T) {
		_, err := repository.Open(t.Context(), place.Directory(t.TempDir()), holdfast.NewSecret(password))
		class(t, err, holdfast.NoRepository)
	})
	t.Run("a file in the place of the directory", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := repository.Open(t.Context(), place.Directory(file), holdfast.NewSecret(password)); err == nil {
			t.Error("it opens")
		}
	})
	t.Run("it opens with the right one still", func(t *testing.T) {
		if name := open(t, at).Name(); name != dir {
			t.Errorf("its name is %s", name)
		}
	})
}

func TestCreatingWhereThereIsOneTouchesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		want := aSet("demo", 1, holdfast.Proven)
		if err := store(t.Context(), open(t, at), want, nil); err != nil {
			t.Fatal(err)
		}
		before := blobs(t, at, "")
		for _, p := range []string{password, "another"} {
			class(t, repository.Create(t.Context(), at, holdfast.NewSecret(p), by(at)), holdfast.Refused)
		}
		if after := blobs(t, at, ""); !slices.Equal(before, after) {
			t.Errorf("its blobs changed from %v to %v", before, after)
		}
		if len(sets(t, open(t, at), "")) != 1 {
			t.Error("the set is gone")
		}
		class(t, repository.Create(t.Context(), place.Directory(t.TempDir()), holdfast.Secret{}), holdfast.Usage)
	})
}

// Its modes are of files alone; what is in the blobs is the same in every place.
func TestTheFilesOnTheDiskRevealNothing(t *testing.T) {
	temp := t.TempDir()
	dir := filepath.Join(t.TempDir(), "repository")
	t.Setenv("TMPDIR", temp)
	at := place.Directory(dir)
	if err := repository.Create(t.Context(), at, holdfast.NewSecret(password)); err != nil {
		t.Fatal(err)
	}
	r := open(t, at)
	const secret = "participant-private-key-material"
	s := aSet("very-secret-node", 1, holdfast.Proven, "app/data/"+secret+"/0000000000.copy")
	if err := store(t.Context(), r, s,
		map[string][]byte{"app/data/" + secret + "/0000000000.copy": bytes.Repeat([]byte(secret+"\n"),
			100_000)}); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if path != dir && info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		for _, word := range []string{secret, "very-secret-node", string(s.ID), password} {
			if strings.Contains(strings.TrimPrefix(path, dir), word) {
				t.Errorf("the name %s shows %q", path, word)
			}
			if d.IsDir() {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if bytes.Contains(text, []byte(word)) {
				t.Errorf("%s holds %q in clear", path, word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), "holdfast-") {
			t.Errorf("the temporary configuration %s stayed behind", e.Name())
		}
	}
}

// The identities are put again unchanged by most runs, and tables change
// little: what is stored already is not stored twice.
func TestTheSameBytesAreStoredOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		const name = "app/data/public.t/0000000000.copy"
		files := map[string][]byte{name: random(3, 12<<20)}
		if err := store(t.Context(), r, aSet("demo", 1, holdfast.Proven, name), files); err != nil {
			t.Fatal(err)
		}
		first := size(t, at)
		files[name] = append(slices.Clone(files[name]), random(4, 100<<10)...)
		if err := store(t.Context(), r, aSet("demo", 2, holdfast.Proven, name), files); err != nil {
			t.Fatal(err)
		}
		if grown := size(t, at) - first; grown > 1500<<10 {
			t.Errorf("the second set, with 100 KiB more, takes %d KiB", grown>>10)
		}
	})
}

// A blob that is gone or was changed is found when it is read, and named.
func TestADamagedSetDoesNotReadAsAWholeOne(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		for name, damage := range map[string]func(testing.TB, place.Place, blob.ID){
			"a blob is gone":   removeBlob,
			"a bit is flipped": flipBlob,
			"a blob is cut": func(t testing.TB, at place.Place, id blob.ID) {
				writeBlob(t, at, id, readBlob(t, at, id)[:100])
			},
		} {
			t.Run(name, func(t *testing.T) {
				at := s.make1(t)
				const file = "app/data/public.t/0000000000.copy"
				want := random(5, 6<<20)
				if err := store(t.Context(), open(t, at), aSet("demo", 1, holdfast.Proven, file),
					map[string][]byte{file: want}); err != nil {
					t.Fatal(err)
				}
				damage(t, at, largest(t, at))
				_, files, err := open(t, at).Find(t.Context(), "demo", "2026")
				var in io.ReadCloser
				if err == nil { // unless the manifest was in that blob too
					in, err = files.Open(t.Context(), file)
				}
				if err == nil {
					defer in.Close()
					var got []byte
					if got, err = io.ReadAll(in); err == nil {
						t.Fatalf("%d bytes were read without an error, equal: %v", len(got), bytes.Equal(got, want))
					}
				}
			})
		}
	})
}
