package repository

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"

	"holdfast"
)

// explain turns what kopia or the file system says into a problem the operator
// can act on. doing is what was being done: "open", "write to".
func (l location) explain(doing string, err error) error {
	var already *holdfast.Problem
	if err == nil || errors.As(err, &already) || errors.Is(err, context.Canceled) {
		return err
	}
	what := fmt.Sprintf("%s repository %s", doing, l)
	switch {
	case errors.Is(err, format.ErrInvalidPassword):
		return &holdfast.Problem{Class: holdfast.WrongKey, What: what + ": the password does not open it",
			Why: "Without the password of the day it was created, nothing in the repository can be read.",
			Do:  "Point repository.password at the right one; a password manager, another server's copy or the recovery notes may have it."}
	case errors.Is(err, repo.ErrRepositoryNotInitialized), errors.Is(err, fs.ErrNotExist), errors.Is(err, blob.ErrBlobNotFound) && doing == "open",
		strings.Contains(err.Error(), "cannot access storage path"):
		return &holdfast.Problem{Class: holdfast.NoRepository, What: what + ": there is none",
			Why: "Either it was never created, or the disk it rests on is not mounted.",
			Do:  "Check repository.path and its mount; `holdfast init` creates a new one.", Err: err}
	case badIndex.MatchString(err.Error()) && !errors.Is(err, syscall.EIO):
		return &holdfast.Problem{Class: holdfast.Violation, What: what + ": a blob of its index is damaged: " + badIndex.FindStringSubmatch(err.Error())[1],
			Why: "Without the index nothing that is stored can be found; the data itself is untouched.",
			Do:  "`holdfast verify --rebuild-index` makes the index anew from the data.", Err: err}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &holdfast.Problem{Class: holdfast.NoSpace, What: what + ": no space is left on the disk",
			Why: "No set was added; every set that was there before is untouched.",
			Do:  "Make room, or move the repository to a larger disk and change repository.path; then run it again: what was already stored is not sent twice.", Err: err}
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return &holdfast.Problem{Class: holdfast.ReadOnly, What: what + ": it cannot be written",
			Why: "No set was added; every set that was there before is untouched.",
			Do:  "Mount the disk for writing, or give the user Holdfast runs as the ownership of the directory.", Err: err}
	case errors.Is(err, format.ErrAlreadyInitialized):
		return &holdfast.Problem{Class: holdfast.Refused, What: what + ": there is one already",
			Why: "Creating another over it would make the sets in it unreadable.",
			Do:  "Use it as it is with its own password, or choose another repository.path."}
	}
	return &holdfast.Problem{Class: holdfast.Failed, What: what, Err: err}
}
