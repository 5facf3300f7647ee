package repository_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/internal/storetest"
	"holdfast/repository"
)

// kept is a store with a few sets, and a directory for a cache.
type kept struct {
	storetest.Store
	cache string
	inner blob.Storage // what is below the cache
	packs atomic.Int32 // reads of packs of metadata and of indexes that reached the place
}

// counting counts the reads of packs of metadata and of indexes.
type counting struct {
	blob.Storage
	packs *atomic.Int32
}

func (c counting) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	if strings.HasPrefix(string(id), "q") || strings.HasPrefix(string(id), "xn") {
		c.packs.Add(1)
	}
	return c.Storage.GetBlob(ctx, id, offset, length, out)
}

func keptSets(t *testing.T, n int) *kept {
	t.Helper()
	k := &kept{Store: storetest.WebDAV(t), cache: t.TempDir()}
	created(t, k.Store)
	r := open(t, k.Place, repository.By(k.Access))
	for i := range n {
		files := map[string][]byte{rows: random(uint64(i), 1<<10)} //nolint:gosec // a few
		if err := store(t.Context(), r, aSet("demo", i, holdfast.Proven, rows), files); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *kept) open(t *testing.T, limit int64) *repository.Repository {
	t.Helper()
	wrap := func(st blob.Storage) blob.Storage {
		k.inner = st
		return counting{st, &k.packs}
	}
	return open(t, k.Place, repository.By(k.Access), repository.Through(wrap),
		repository.Cached(repository.Cache{Directory: k.cache, Limit: limit}))
}

// read reads all manifests as another process would, and returns how many packs it
// read from the place.
func (k *kept) read(t *testing.T, limit int64) (packs int32, err error) {
	t.Helper()
	before := k.packs.Load()
	r := k.open(t, limit)
	list, err := r.Sets(t.Context(), "demo")
	for _, e := range list {
		if _, failed := r.Load(t.Context(), e); failed != nil {
			err = failed
		}
	}
	return k.packs.Load() - before, err
}

// files are those of the cache.
func (k *kept) files(t *testing.T) (list []string, bytes int64) {
	t.Helper()
	list, _ = filepath.Glob(filepath.Join(k.cache, "blobs", "*", "[qx]*"))
	for _, file := range list {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	return list, bytes
}

const enough = 64 << 20

// Whatever happens to a cache costs time and nothing else.
func TestALostCacheCostsTimeOnly(t *testing.T) {
	k := keptSets(t, 3)
	cold, err := k.read(t, enough)
	if err != nil || cold == 0 {
		t.Fatalf("the first process read %d packs: %v", cold, err)
	}
	if warm, err := k.read(t, enough); err != nil || warm != 0 {
		t.Fatalf("the second process read %d packs: %v", warm, err)
	}
	each := func(do func(file string) error) func() error {
		return func() error {
			files, _ := k.files(t)
			for _, file := range files {
				if err := do(file); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"altered", each(func(file string) error { return alter(file, 10) })},
		{"truncated", each(func(file string) error { return os.Truncate(file, 100) })},
		{"emptied", each(func(file string) error { return os.Truncate(file, 0) })},
		{"its digest altered", each(func(file string) error {
			info, err := os.Stat(file)
			if err != nil {
				return err
			}
			return alter(file, info.Size()-1)
		})},
		{"removed", func() error { return os.RemoveAll(filepath.Join(k.cache, "blobs")) }},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if packs, err := k.read(t, enough); err != nil || packs != cold {
			t.Errorf("%s: %d packs were read, want %d: %v", c.name, packs, cold, err)
		}
		if packs, err := k.read(t, enough); err != nil || packs != 0 {
			t.Errorf("%s: it does not recover: %d packs were read: %v", c.name, packs, err)
		}
	}
	if err := os.RemoveAll(k.cache); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.cache, nil, 0o600); err != nil { // no directory can be made there
		t.Fatal(err)
	}
	if packs, err := k.read(t, enough); err != nil || packs == 0 {
		t.Errorf("without a directory: %d packs were read: %v", packs, err)
	}
}

// alter flips one byte of a file.
func alter(file string, at int64) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	if err == nil {
		_, err = f.WriteAt([]byte{^b[0]}, at)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// A cache never says that the place still has what was deleted there.
func TestACacheDoesNotHideWhatIsGone(t *testing.T) {
	k := keptSets(t, 2)
	if _, err := k.read(t, enough); err != nil {
		t.Fatal(err)
	}
	packs, err := blob.ListAllBlobs(t.Context(), k.inner, "q")
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	for _, m := range packs {
		if err := k.inner.DeleteBlob(t.Context(), m.BlobID); err != nil {
			t.Fatal(err)
		}
	}
	if files, _ := k.files(t); len(files) == 0 {
		t.Fatal("the cache is empty")
	}
	if _, err := k.read(t, enough); err == nil {
		t.Error("sets were read whose packs are gone")
	}
}

// A list of sets costs as many requests however many there are, where they are in the
// cache, but for one question about the pack of each: every index of theirs would be one
// more, and its length another.
func TestAListOfMoreSetsCostsOneQuestionEach(t *testing.T) {
	var few repository.Traffic
	for _, n := range []int{2, 7} {
		k := keptSets(t, n)
		for _, warm := range []bool{false, true} {
			r := k.open(t, enough)
			if list, err := r.Sets(t.Context(), "demo"); err != nil || len(list) != n {
				t.Fatalf("%d sets of %d: %v", len(list), n, err)
			}
			cost := r.Traffic()
			switch {
			case !warm:
			case n == 2:
				few = cost
			case cost.Reads > few.Reads+5 || cost.Lists != few.Lists:
				t.Errorf("a list of %d sets costs %+v, of two %+v", n, cost, few)
			}
		}
	}
}

// Whoever reads many packs has the place list them, and asks about none by itself.
func TestManyPacksAreListed(t *testing.T) {
	k := keptSets(t, repository.Singly+5)
	if _, err := k.read(t, enough); err != nil {
		t.Fatal(err)
	}
	r := k.open(t, enough)
	list, err := r.Sets(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	before := r.Traffic()
	for _, e := range list {
		if _, err := r.Load(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	cost := r.Traffic()
	asked := cost.Reads - before.Reads - int64(len(list)) // a manifest is one read
	if cost.Lists-before.Lists != 1 || asked > repository.Singly {
		t.Errorf("%d manifests cost %+v, before %+v", len(list), cost, before)
	}
}

// Several reads that belong together look for what others have written once.
func TestReadsOfOneMomentListOnce(t *testing.T) {
	k := keptSets(t, 1)
	still, err := k.open(t, enough).Still(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := still.Traffic()
	_, failed := still.Sets(t.Context(), "demo")
	_, drills := still.Drills(t.Context(), "demo")
	_, pins := still.Pins(t.Context(), "demo")
	if failed != nil || drills != nil || pins != nil || still.Traffic().Lists-before.Lists > 1 {
		t.Errorf("%+v, before %+v: %v, %v, %v", still.Traffic(), before, failed, drills, pins)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := still.Sets(ctx, "demo"); err == nil {
		t.Error("an interrupted read goes on")
	}
}

// Who looks for damage reads the place, however much a cache holds.
func TestAnInspectionReadsNoCache(t *testing.T) {
	k := keptSets(t, 2)
	if _, err := k.read(t, enough); err != nil {
		t.Fatal(err)
	}
	r := k.open(t, enough)
	before := k.packs.Load()
	i, err := r.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if sets, err := i.Holdings(t.Context()); err != nil || len(sets) != 2 || k.packs.Load() == before {
		t.Errorf("%d sets, %d packs were read: %v", len(sets), k.packs.Load()-before, err)
	}
}

// A cache stays below its limit, whoever fills it, and removes no file that is not
// its own.
func TestACacheHasALimit(t *testing.T) {
	k := keptSets(t, 8)
	if _, err := k.read(t, enough); err != nil {
		t.Fatal(err)
	}
	_, whole := k.files(t)
	foreign := filepath.Join(k.cache, "blobs", "mine")
	if err := os.MkdirAll(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	names := []string{"q", "quarterly.report", "q0123456789abcdef", "xn0_0123456789abcdef"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(foreign, name), make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	limit := whole * 2 / 3 // of more than four packs
	for run := range 2 {
		dir := filepath.Join(k.cache, "blobs")
		if run == 1 { // from nothing as well
			for _, file := range own(t, dir) {
				_ = os.Remove(file)
			}
		}
		if _, err := k.read(t, limit); err != nil {
			t.Fatal(err)
		}
		var bytes int64
		for _, file := range own(t, dir) {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			bytes += info.Size()
		}
		if bytes == 0 || bytes > limit {
			t.Errorf("run %d: the cache has %d bytes, its limit is %d", run, bytes, limit)
		}
	}
	if left, err := os.ReadDir(foreign); err != nil || len(left) != len(names) {
		t.Errorf("files of others: %v, %v", left, err)
	}
}

// own are the files of the cache, without the directory of others.
func own(t *testing.T, dir string) (list []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*", "[qx]*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if filepath.Base(filepath.Dir(file)) != "mine" {
			list = append(list, file)
		}
	}
	return list
}

// What a place was at another time is not mixed with what it is: the names of blobs
// are the same.
func TestTheCacheOfOnePlaceIsNotThatOfAnother(t *testing.T) {
	a, b := keptSets(t, 1), keptSets(t, 1)
	b.cache = a.cache
	for name, k := range map[string]*kept{"the first": a, "the second": b} {
		if packs, err := k.read(t, enough); err != nil || packs == 0 {
			t.Errorf("%s: %d packs were read: %v", name, packs, err)
		}
	}
	dirs, err := os.ReadDir(filepath.Join(a.cache, "blobs"))
	if err != nil || len(dirs) != 2 {
		t.Error(fmt.Sprint(dirs), err)
	}
}
