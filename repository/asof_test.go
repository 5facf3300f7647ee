package repository_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/internal/storetest"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
)

// Whoever owns the node deletes and replaces everything. What a bucket with
// versions held before is read as it was. versitygw dates a version by when it
// was replaced, which S3 does not, so there nothing is.
func TestARepositoryAsItWas(t *testing.T) {
	for name, start := range map[string]func(testing.TB) storetest.Store{
		"gs": storetest.GCS, "azblob": storetest.AzureVersions,
	} {
		t.Run(name, func(t *testing.T) {
			asItWas(t, start(t), func(s storetest.Store) {
				wreck(t, s)
				_, err := repository.Open(t.Context(), s.Place, holdfast.NewSecret(password), repository.By(s.Access))
				class(t, err, holdfast.NoRepository)
			})
		})
	}
	t.Run("s3", func(t *testing.T) { asItWas(t, storetest.S3Versions(t), func(storetest.Store) {}) })
}

func asItWas(t *testing.T, s storetest.Store, attack func(storetest.Store)) {
	created(t, s)
	content := random(3, 2<<20)
	set := storeRows(t, open(t, s.Place, repository.By(s.Access)), 1, content)
	time.Sleep(1100 * time.Millisecond) // S3 says when to the second
	before := time.Now()
	time.Sleep(1100 * time.Millisecond)
	attack(s)
	r := open(t, s.Place, repository.By(s.Access), repository.AsOf(before))
	if list := sets(t, r, ""); len(list) != 1 || list[0].ID != set.ID {
		t.Fatalf("the sets were %v", list)
	}
	_, files, err := r.Find(t.Context(), "demo", string(set.ID))
	if err != nil {
		t.Fatal(err)
	}
	if got := repositorytest.Read(t, files, rows); string(got) != string(content) {
		t.Error("other bytes came back")
	}
	err = r.Write(t.Context(), "backup", func(context.Context, holdfast.SetWriter) error { return nil })
	class(t, err, holdfast.Refused)
	_, err = repository.Open(t.Context(), s.Place, holdfast.NewSecret(password), repository.By(s.Access),
		repository.AsOf(before.Add(-time.Hour)))
	class(t, err, holdfast.NoRepository)
}

// wreck replaces what opens a repository, then deletes every blob.
func wreck(t *testing.T, s storetest.Store) {
	t.Helper()
	var st blob.Storage
	r := open(t, s.Place, repository.By(s.Access), repository.Through(func(opened blob.Storage) blob.Storage {
		st = opened
		return opened
	}))
	all, err := blob.ListAllBlobs(t.Context(), st, "")
	if err != nil || len(all) == 0 {
		t.Fatalf("%d blobs, %v", len(all), err)
	}
	for _, m := range all {
		if err := errors.Join(
			st.PutBlob(t.Context(), m.BlobID, repository.Text("forged"), blob.PutOptions{}),
			st.DeleteBlob(t.Context(), m.BlobID),
		); err != nil {
			t.Fatal(err)
		}
	}
	_ = r.Close(t.Context())
}

// A place without versions says so.
func TestNoVersionsNoPast(t *testing.T) {
	at, _ := make1(t)
	_, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), repository.AsOf(time.Now()))
	class(t, err, holdfast.Usage)
	sftp, err := place.Parse("sftp://host/x", "/")
	if err != nil {
		t.Fatal(err)
	}
	_, err = repository.Open(t.Context(), sftp, holdfast.NewSecret(password), repository.AsOf(time.Now()))
	class(t, err, holdfast.Usage)
	for _, start := range []func(testing.TB) storetest.Store{storetest.S3, storetest.Azure} {
		s := start(t)
		created(t, s)
		_, err = repository.Open(t.Context(), s.Place, holdfast.NewSecret(password), repository.By(s.Access),
			repository.AsOf(time.Now()))
		class(t, err, holdfast.Refused)
	}
}
