package repository

import (
	"context"

	"holdfast"
)

// ChangePassword makes the repository open with another password. Two small
// blobs are written anew, and no data is. It returns when the new password has
// opened the repository; the copies of the blobs are replaced last, so that
// until then an interrupted change can be put back.
//
// It is no remedy for a stolen repository: whoever has an older copy of
// kopia.repository opens that with the old password, and the key of all data in
// it stays the same.
func (r *Repository) ChangePassword(ctx context.Context, to holdfast.Secret) error {
	if to.IsEmpty() || to.Reveal() == r.password.Reveal() {
		return &holdfast.Problem{
			Class: holdfast.Usage,
			What:  "the new password is empty, or the same as before",
			Do:    "Put a long random password into the file, then: `holdfast repository password --new file:PATH`.",
		}
	}
	unlock, err := r.lock(ctx, maintenanceLock, r.Patience)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := r.takeLease(ctx)
	if err != nil {
		return err
	}
	defer l.end(ctx)
	if err := r.keepCopies(ctx); err != nil { // to put back, if this ends halfway
		return err
	}
	whole := context.WithoutCancel(ctx) // two blobs, which must not differ
	if err := r.direct().FormatManager().ChangePassword(whole, to.Reveal()); err != nil {
		return r.halfChanged(err)
	}
	changed, err := r.location.open(whole, to)
	if err != nil {
		return r.halfChanged(err)
	}
	defer func() { _ = changed.Close(whole) }()
	r.password = to
	return changed.keepCopies(whole)
}

// halfChanged says how to get back to the old password.
func (r *Repository) halfChanged(err error) error {
	return &holdfast.Problem{
		Class: holdfast.ClassOf(err),
		What:  "change the password of " + r.location.String(),
		Err:   err,
		Why:   "No set is lost. The repository may open with neither password until it is put back.",
		Do:    "Leave repository.password as it is, then: `holdfast verify --repair`.",
	}
}
