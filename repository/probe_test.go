package repository_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/studio-b12/gowebdav"

	"holdfast"
	"holdfast/internal/storetest"
	"holdfast/place"
	"holdfast/repository"
)

// The policies of docs/policies are enough for their roles, and give no more.
func TestRolesOfABucket(t *testing.T) {
	s, roles := storetest.S3Roles(t, map[string]string{
		"node":     storetest.Policy("s3-node.json"),
		"keeper":   storetest.Policy("s3-keeper.json"),
		"recovery": storetest.Policy("s3-recovery.json"),
	})
	created(t, s)
	as := func(role string) *repository.Repository { return open(t, s.Place, repository.By(roles[role])) }
	tried := func(role string) (refused []repository.Right) {
		list, err := repository.Probe(t.Context(), s.Place, repository.By(roles[role]))
		if err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		for _, r := range list {
			if r.Err != nil {
				refused = append(refused, r.Right)
			}
		}
		return refused
	}

	node := as("node")
	first, second := storeRows(t, node, 1, random(1, 2<<20)), storeRows(t, node, 2, random(2, 2<<20))
	if refused := tried("node"); len(refused) != 0 {
		t.Errorf("a node may not %v", refused)
	}
	if err := storetest.DeleteFirst(t, s, roles["node"], "p"); err == nil {
		t.Error("a node may delete what sets hold")
	}
	keeper := as("keeper")
	drop(t, keeper, first.ID)
	maintain(t, keeper)
	if refused := tried("keeper"); len(refused) != 0 {
		t.Errorf("a keeper may not %v", refused)
	}

	recovery := as("recovery")
	if list := sets(t, recovery, ""); len(list) != 1 || list[0].ID != second.ID {
		t.Errorf("recovery sees %v", list)
	}
	if refused := tried("recovery"); len(refused) != 1 || refused[0] != repository.ToWrite {
		t.Errorf("recovery may not %v", refused)
	}
}

// What is missing is named with the permission and the file that has it, before
// kopia would have tried ten times.
func TestAMissingRightIsNamed(t *testing.T) {
	s, roles := storetest.S3Roles(t, map[string]string{"recovery": storetest.Policy("s3-recovery.json")})
	began := time.Now()
	list, err := repository.Probe(t.Context(), s.Place, repository.By(roles["recovery"]))
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	refused := list[1].Err
	if _, do := holdfast.Advice(refused); !strings.Contains(refused.Error(), "refuses to write") ||
		!strings.Contains(do, "s3:PutObject, as in docs/policies/s3-node.json") {
		t.Errorf("%v: %s", refused, do)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it was named after %v", took)
	}
	wrong := roles["recovery"]
	wrong.Secret = s.Wrong.Secret
	if list, err := repository.Probe(t.Context(), s.Place, repository.By(wrong)); err == nil ||
		!strings.Contains(err.Error(), "refuses access") {
		t.Errorf("other credentials: %v, %v", list, err)
	}
}

// In every kind of place the same is tried: what a node does there, and to see what was
// replaced, where places keep that.
func TestEveryPlaceIsProbed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storetest.Store) {
		list, err := repository.Probe(t.Context(), s.Place, repository.By(s.Access))
		if err != nil {
			t.Fatal(err)
		}
		want := []repository.Right{
			repository.ToList, repository.ToWrite, repository.ToRead, repository.ToOverwrite, repository.ToDelete,
		}
		if s.Place.Bucket != "" {
			want = append(want, repository.ToSeePast)
		}
		var got []repository.Right
		for _, r := range list {
			got = append(got, r.Right)
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("tried: %v", got)
		}
	})
}

// What a server of directories refuses is named in its own words.
func TestAMissingRightOfADirectoryIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		start   func(testing.TB) storetest.Store
		right   repository.Right
		do, err string
	}{
		"SFTP without remove": {
			func(t testing.TB) storetest.Store { return storetest.SFTPWithout(t, "remove") },
			repository.ToDelete, "mode `-wx` on the directory, and `remove`", "remove /",
		},
		"SFTP without posix-rename": {
			func(t testing.TB) storetest.Store { return storetest.SFTPWithout(t, "posix-rename") },
			repository.ToWrite, "`posix-rename`", "posix-rename /",
		},
		"WebDAV without DELETE": {
			func(t testing.TB) storetest.Store { return storetest.WebDAVWithout(t, "DELETE") },
			repository.ToDelete, "the method `DELETE`", "403",
		},
		"WebDAV without PUT": {
			func(t testing.TB) storetest.Store { return storetest.WebDAVWithout(t, "PUT") },
			repository.ToWrite, "the methods `PUT`, `MKCOL` and `MOVE`", "403",
		},
		"WebDAV without PROPFIND": {
			func(t testing.TB) storetest.Store { return storetest.WebDAVWithout(t, "PROPFIND") },
			repository.ToList, "the method `PROPFIND`", "403",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.start(t)
			began := time.Now()
			list, err := repository.Probe(t.Context(), s.Place, repository.By(s.Access))
			if err != nil {
				t.Fatal(err)
			}
			var refused []repository.Tried
			for _, r := range list {
				if r.Err != nil {
					refused = append(refused, r)
				}
			}
			if len(refused) != 1 || refused[0].Right != c.right {
				t.Fatalf("refused: %v", refused)
			}
			_, do := holdfast.Advice(refused[0].Err)
			if !strings.Contains(do, c.do) || !strings.Contains(refused[0].Err.Error(), c.err) {
				t.Errorf("%v: %s", refused[0].Err, do)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it was named after %v", took)
			}
		})
	}
	t.Run("a directory that may not be written to", func(t *testing.T) {
		s := storetest.SFTP(t)
		dir := "/" + s.Place.Path
		if err := os.Mkdir(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o555); err != nil { //nolint:gosec // another user's server reads it
			t.Fatal(err)
		}
		list, err := repository.Probe(t.Context(), s.Place, repository.By(s.Access))
		if err != nil || len(list) != 2 || list[1].Err == nil {
			t.Fatalf("%v, %v", list, err)
		}
		if _, do := holdfast.Advice(list[1].Err); !strings.Contains(do, "mode `-wx` on the directory") {
			t.Errorf("%v: %s", list[1].Err, do)
		}
	})
}

// A probe leaves nothing in any kind of place.
func TestAProbeLeavesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s storetest.Store) {
		by := repository.By(s.Access)
		list, err := repository.Probe(t.Context(), s.Place, by)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
		if left := namesNextTo(t, s); len(left) > 0 {
			t.Errorf("next to the place is left: %v", left)
		}
		if vacant, err := repository.Vacant(t.Context(), s.Place, by); err != nil || !vacant {
			t.Errorf("something is left: %v, %v", vacant, err)
		}
	})
}

// namesNextTo are the directories where a server of directories would have the place,
// which does not exist yet, and that place.
func namesNextTo(t *testing.T, s storetest.Store) (names []string) {
	t.Helper()
	switch s.Kind {
	case place.SFTP:
		found, err := os.ReadDir(filepath.Dir("/" + s.Place.Path))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.IsDir() {
				names = append(names, f.Name())
			}
		}
	case place.WebDAV:
		found, err := gowebdav.NewClient("http://"+s.Place.Host, s.Place.Account, storetest.SecretKey).ReadDir("/")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			names = append(names, f.Name())
		}
	default: // in a bucket there are no directories
	}
	return names
}

// To open a directory that has no repository writes nothing there: it may be where a
// disk is not mounted.
func TestAnEmptyDirectoryStaysEmpty(t *testing.T) {
	for name, start := range map[string]func(testing.TB) storetest.Store{
		"file": func(t testing.TB) storetest.Store { return storetest.Store{Place: place.Directory(t.TempDir())} },
		"sftp": storetest.SFTP, "webdav": storetest.WebDAV,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			dir := madeDirectory(t, s)
			by := repository.By(s.Access)
			_, err := repository.Open(t.Context(), s.Place, holdfast.NewSecret(password), by)
			class(t, err, holdfast.NoRepository)
			_, err = repository.Reach(t.Context(), s.Place, by)
			class(t, err, holdfast.NoRepository)
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("it has %v, %v", left, err)
			}
			if vacant, err := repository.Vacant(t.Context(), s.Place, by); err != nil || !vacant {
				t.Errorf("it is vacant: %v, %v", vacant, err)
			}
			created(t, s)
			open(t, s.Place, by)
		})
	}
}

// madeDirectory is the directory of a place, which now exists, and is empty.
func madeDirectory(t *testing.T, s storetest.Store) string {
	t.Helper()
	switch s.Kind {
	case place.SFTP:
		dir := "/" + s.Place.Path
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // another user's server writes to it
			t.Fatal(err)
		}
		return dir
	case place.WebDAV:
		client := gowebdav.NewClient("http://"+s.Place.Host, s.Place.Account, storetest.SecretKey)
		if err := client.Mkdir("/"+s.Place.Path, 0o700); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(s.Root, s.Place.Path)
	default:
		return s.Place.Path
	}
}

// Each right that may be missing stands in the policy that is named.
func TestGrantsStandInThePolicies(t *testing.T) {
	for _, g := range repository.Grants() {
		text, err := os.ReadFile("../" + g.Policy)
		if err != nil || !strings.Contains(string(text), g.Permission) {
			t.Errorf("%s does not grant %s: %v", g.Policy, g.Permission, err)
		}
	}
}
