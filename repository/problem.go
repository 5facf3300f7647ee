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

// absent says that there is no repository. In a place that may keep versions it may
// have been deleted, and is not lost.
func (l location) absent(what string, err error) error {
	p := &holdfast.Problem{
		Class: holdfast.NoRepository,
		What:  what + ": it does not exist",
		Why:   "Either it was never created, or its disk is not mounted.",
		Do:    "Check repository.path and its mount. To create a new one: `holdfast init`.",
		Err:   err,
	}
	if _, local := l.Local(); !local {
		p.Why = "Either it was never created, or somebody has deleted it."
		p.Do = "Check repository.path. To create a new one: `holdfast init`."
	}
	if keepsVersions[l.Scheme] && l.asOf.IsZero() {
		p.Do = "Check repository.path. If it was deleted, read what the bucket keeps: `holdfast list --as-of 36h`. " +
			"To create a new one: `holdfast init`."
	}
	return p
}

// explain turns an error of kopia or the file system into a problem the
// operator can act on. doing is the failed action: "open", "write to".
func (l location) explain(doing string, err error) error {
	var already *holdfast.Problem
	if err == nil || errors.As(err, &already) || errors.Is(err, context.Canceled) {
		return err
	}
	what := fmt.Sprintf("%s repository %s", doing, l)
	switch {
	case errors.Is(err, format.ErrInvalidPassword):
		return &holdfast.Problem{
			Class: holdfast.WrongKey,
			What:  what + ": the password does not open it",
			Why:   "Without its password, nothing in the repository can be read.",
			Do: "Point repository.password at the right one. Look in your password manager, another server's " +
				"copy or the recovery notes.",
		}
	case errors.Is(err,
		repo.ErrRepositoryNotInitialized), errors.Is(err, fs.ErrNotExist), errors.Is(err, blob.ErrBlobNotFound) &&
		doing == "open",
		strings.Contains(err.Error(), "cannot access storage path"):
		return l.absent(what, err)
	case badIndex.MatchString(err.Error()) && !errors.Is(err, syscall.EIO):
		return &holdfast.Problem{
			Class: holdfast.Violation,
			What:  what + ": an index blob is damaged: " + badIndex.FindStringSubmatch(err.Error())[1],
			Why:   "Without the index no stored data can be found. The data itself is intact.",
			Do:    "`holdfast verify --rebuild-index` rebuilds the index from the data.",
			Err:   err,
		}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &holdfast.Problem{
			Class: holdfast.NoSpace,
			What:  what + ": the disk is full",
			Why:   "No set was added. All earlier sets are intact.",
			Do: "Free space, or move the repository to a larger disk and change repository.path. Then run it " +
				"again: it reuses what is stored.",
			Err: err,
		}
	case errors.Is(err, fs.ErrPermission) && doing == "read":
		return unreadable(what, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return &holdfast.Problem{
			Class: holdfast.ReadOnly,
			What:  what + ": it is not writable",
			Why:   "No set was added. All earlier sets are intact.",
			Do:    "Mount the disk read-write, or make Holdfast's user the owner of the directory.",
			Err:   err,
		}
	case errors.Is(err, format.ErrAlreadyInitialized):
		return &holdfast.Problem{Class: holdfast.Refused, What: what + ": it already exists",
			Why: "Creating another in its place would make its sets unreadable.",
			Do:  "Use it with its own password, or choose another repository.path."}
	}
	if _, local := l.Local(); !local {
		return refusal(what, err)
	}
	return &holdfast.Problem{Class: holdfast.Failed, What: what, Err: err}
}

// unreadable is said of a file that this user may not read: it is neither
// damaged nor gone, and nothing was to be written. Listing a repository reads
// every directory in it, whoever made them.
func unreadable(what string, err error) error {
	p := &holdfast.Problem{
		Class: holdfast.Failed,
		What:  what + ": this user may not read all of it",
		Err:   err,
		Why:   "What cannot be read cannot be judged. Nothing was changed.",
		Do:    "Give the user Holdfast runs as the ownership of every file in it, or move files of others out.",
	}
	if strings.Contains(err.Error(), "lost+found") {
		p.Do = "The repository is at the root of a disk. Make lost+found readable (chmod a+rx), " +
			"or move the repository into a directory of its own and change repository.path."
	}
	return p
}
