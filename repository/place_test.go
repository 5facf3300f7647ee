package repository_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/place"
	"holdfast/repository"
)

// Every kind of place that serves has what a repository needs of it, and no
// other is taken.
func TestPlacesOfRepositories(t *testing.T) {
	available := place.Available(place.Repository)
	for _, scheme := range available {
		if !repository.HasBackend(scheme) {
			t.Errorf("%s serves, and has no storage", scheme)
		}
	}
	if len(available) == 0 {
		t.Error("no place serves")
	}
	for _, scheme := range place.Available(place.Identities) {
		if holds := repository.HoldsCopies(scheme); holds != (scheme == place.File) {
			t.Errorf("%s keeps identities; that it holds a copy of the key is %t", scheme, holds)
		}
	}
	at, err := place.Parse("vault://host/mount/x", "/")
	if err != nil {
		t.Fatal(err)
	}
	secret := holdfast.NewSecret(password)
	_, err = repository.Open(t.Context(), at, secret)
	refused(t, err)
	_, err = repository.PutBack(t.Context(), at, secret)
	refused(t, err)
	_, err = repository.RebuildIndex(t.Context(), at, secret)
	refused(t, err)
	refused(t, repository.Create(t.Context(), at, secret))
}

func refused(t *testing.T, err error) {
	t.Helper()
	class(t, err, holdfast.Usage)
	if err == nil || !strings.Contains(err.Error(), "vault:// does not hold a repository") {
		t.Errorf("%v", err)
	}
}

func TestVacant(t *testing.T) {
	_, dir := make1(t)
	file := filepath.Join(dir, "kopia.repository.f")
	for path, want := range map[string]bool{
		t.TempDir():                              true,
		filepath.Join(t.TempDir(), "not", "yet"): true,
		dir:                                      false,
	} {
		if vacant, err := repository.Vacant(t.Context(), place.Directory(path)); err != nil || vacant != want {
			t.Errorf("%s: %v, %v", path, vacant, err)
		}
	}
	if vacant, err := repository.Vacant(t.Context(), place.Directory(file)); err == nil || vacant {
		t.Errorf("a file in the place of a directory: %v, %v", vacant, err)
	}
	disk := t.TempDir()
	if err := os.Mkdir(filepath.Join(disk, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	vacant, err := repository.Vacant(t.Context(), place.Directory(disk))
	class(t, err, holdfast.Refused)
	if _, do := holdfast.Advice(err); vacant || !strings.Contains(do, filepath.Join(disk, "holdfast")) {
		t.Errorf("the root of a disk: %v, %s", vacant, do)
	}
	_, err = repository.Vacant(t.Context(), place.Place{Scheme: "vault", Host: "host", Path: "x"})
	refused(t, err)
}

// A file that may not be read is not damage, and reading is not writing.
func TestWhatMayNotBeRead(t *testing.T) {
	at, dir := make1(t)
	r := open(t, at)
	for name, do := range map[string]string{"lost+found": "root of a disk", ".Trashes": "ownership"} {
		foreign := filepath.Join(dir, name)
		if err := os.Mkdir(foreign, 0o700); err != nil {
			t.Fatal(err)
		}
		err := repository.Explain(r, "read", &fs.PathError{Op: "open", Path: foreign, Err: fs.ErrPermission})
		class(t, err, holdfast.Failed)
		if _, next := holdfast.Advice(err); !strings.Contains(err.Error(), "may not read all of it") || !strings.Contains(next, do) {
			t.Errorf("%s: %v\n%s", name, err, next)
		}
	}
	class(t, repository.Explain(r, "write to", fs.ErrPermission), holdfast.ReadOnly)
}

// spied is a storage that calls a hook at each read, and counts closes.
type spied struct {
	blob.Storage
	look   func()
	closed *atomic.Int32
}

func (s spied) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	s.look()
	return s.Storage.GetBlob(ctx, id, offset, length, out)
}

func (s spied) Close(ctx context.Context) error {
	s.closed.Add(1)
	return s.Storage.Close(ctx)
}

// The file from which kopia opens a repository never names a storage or its
// options, and each storage is closed once.
func TestNoOptionOfAStorageIsWrittenToAFile(t *testing.T) {
	at, _ := make1(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var seen, opened, closed atomic.Int32
	look := func() {
		files, _ := filepath.Glob(filepath.Join(temporary, "holdfast-*", "repository.config"))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			seen.Add(1)
			if !strings.Contains(string(text), `"storage":{"type":"holdfast","config":{"number":`) ||
				strings.Contains(string(text), `"path"`) {
				t.Errorf("the file has %s", text)
			}
		}
	}
	spy := repository.Through(func(st blob.Storage) blob.Storage {
		opened.Add(1)
		return spied{st, look, &closed}
	})
	r, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), spy)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = repository.Open(t.Context(), at, holdfast.NewSecret("another"), spy)
	class(t, err, holdfast.WrongKey)
	if seen.Load() == 0 || opened.Load() == 0 || opened.Load() != closed.Load() {
		t.Errorf("the file was seen %d times, %d storages were opened and %d closed", seen.Load(), opened.Load(),
			closed.Load())
	}
	if left, _ := os.ReadDir(temporary); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// A folder that is not there does not keep a repository closed: memory stands in.
	t.Setenv("TMPDIR", filepath.Join(temporary, "nothing"))
	if r, err = repository.Open(t.Context(), at, holdfast.NewSecret(password), spy); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil || opened.Load() != closed.Load() {
		t.Errorf("%v; %d of %d storages are closed", err, closed.Load(), opened.Load())
	}
}

// Without keys of any kind nothing is asked of a server, and it is said where
// keys may be.
func TestNoKeysForS3(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	at, err := place.Parse("s3://bucket/x?region=eu-1", "/")
	if err != nil {
		t.Fatal(err)
	}
	_, err = repository.Open(t.Context(), at, holdfast.NewSecret(password))
	class(t, err, holdfast.Usage)
	if _, do := holdfast.Advice(err); !strings.Contains(do, "repository.access.id") || !strings.Contains(do, "`holdfast ") {
		t.Errorf("%v: %s", err, do)
	}
}

// Without a usable key nothing is asked of Google's server, and what was read is
// not shown.
func TestNoKeyForGCS(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "missing"))
	at, err := place.Parse("gs://bucket/x", "/")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ key, says string }{
		"none at all":             {"", "no credentials for gs"},
		"of a user":               {`{"type": "authorized_user", "refresh_token": "canary"}`, "not the key of a service account"},
		"of an external account":  {`{"type": "external_account", "token_url": "https://canary"}`, "not the key of a service"},
		"no JSON":                 {"canary", "not the key of a service account"},
		"of nobody":               {`{"type": "service_account", "private_key": "canary"}`, "not the key of a service account"},
		"a key without its words": {`{"type": "service_account"}`, "not the key of a service account"},
	} {
		var a repository.Access
		if c.key != "" {
			a.Key = holdfast.Fixed(holdfast.NewSecret(c.key))
		}
		_, err = repository.Open(t.Context(), at, holdfast.NewSecret(password), repository.By(a))
		class(t, err, holdfast.Usage)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
		if _, do := holdfast.Advice(err); !strings.Contains(do, "`holdfast ") {
			t.Errorf("%s has no command to type: %s", name, do)
		}
	}
}
