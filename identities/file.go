package identities

import (
	"context"
	"fmt"
	"os"

	"holdfast"
)

// File is a dump that the operator keeps in a file of this machine, where the
// validator app does not export it.
type File struct{ Path string }

// Fetch reads the dump. It refuses a file that others may read, because the dump
// contains private keys.
func (f File) Fetch(context.Context) ([]byte, error) {
	info, err := os.Stat(f.Path)
	if err != nil {
		return nil, fileProblem("read the identities", err, "Correct `identities.file`, or make the file readable for this user.")
	}
	const others = 0o077
	if info.Mode().Perm()&others != 0 {
		return nil, fileProblem(fmt.Sprintf("the identities in %s can be read by others: mode %04o", f.Path, info.Mode().Perm()), nil,
			"Restrict it: chmod 600 "+f.Path)
	}
	if info.Size() > MaxSize {
		return nil, fileProblem(f.Path+" is too large for an identities dump", nil, "Correct `identities.file`.")
	}
	data, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, fileProblem("read the identities", err, "Make the file readable for this user.")
	}
	inner, _ := Unwrap(data)
	if _, err := Parse(inner); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	return inner, nil
}

func fileProblem(what string, err error, do string) error {
	return &holdfast.Problem{Class: holdfast.Usage, What: what, Err: err, Why: whyDump, Do: do}
}
