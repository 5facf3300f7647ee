package repository_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"

	"holdfast"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
)

const nextPassword = "another long password"

// With the new password every set is there, with the old one none is.
func TestChangeOfPassword(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := two(t, s)
		r := open(t, at)
		storeRows(t, r, 3, nil)
		for _, same := range []string{"", password} {
			class(t, r.ChangePassword(t.Context(), holdfast.NewSecret(same)), holdfast.Usage)
		}
		before := copies(t, at)
		if err := r.ChangePassword(t.Context(), holdfast.NewSecret(nextPassword)); err != nil {
			t.Fatal(err)
		}
		if after := copies(t, at); len(after) != len(before) || after[0] == before[0] {
			t.Errorf("copies %v, before %v", after, before)
		}
		storeRows(t, r, 4, nil) // the one who changed it goes on
		_, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), by(at))
		class(t, err, holdfast.WrongKey)
		sets, err := repositorytest.Open(t, at, nextPassword, by(at)).Sets(t.Context(), "")
		if err != nil || len(sets) != 2+2 {
			t.Errorf("%d sets, %v", len(sets), err)
		}
	})
}

// tearing is a storage that fails when kopia.repository is written.
type tearing struct {
	blob.Storage
	torn *bool
}

func (s tearing) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	if id == format.KopiaRepositoryBlobID && *s.torn {
		return errors.New("the cable is out")
	}
	return s.Storage.PutBlob(ctx, id, data, o)
}

// A change that ends between the two blobs is put back with the old password.
func TestChangeOfPasswordEndsHalfway(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := two(t, s)
		torn := false
		r := open(t, at, repository.Through(func(st blob.Storage) blob.Storage { return tearing{st, &torn} }))
		storeRows(t, r, 3, nil)
		torn = true
		err := r.ChangePassword(t.Context(), holdfast.NewSecret(nextPassword))
		if _, do := holdfast.Advice(err); err == nil || !strings.Contains(do, "verify --repair") {
			t.Fatalf("%v: %s", err, do)
		}
		if _, err := repository.Open(t.Context(), at, holdfast.NewSecret(nextPassword), by(at)); err == nil {
			t.Error("it opens with the new password")
		}
		if _, err := repository.PutBack(t.Context(), at, holdfast.NewSecret(password), by(at)); err != nil {
			t.Fatal(err)
		}
		sets, err := repositorytest.Open(t, at, password, by(at)).Sets(t.Context(), "")
		if err != nil || len(sets) == 0 {
			t.Errorf("%d sets, %v", len(sets), err)
		}
	})
}
