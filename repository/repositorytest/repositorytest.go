// Package repositorytest helps tests that look into repositories.
package repositorytest

import (
	"context"
	"io"
	"testing"

	"holdfast"
	"holdfast/place"
	"holdfast/repository"
)

// Open opens a repository, and closes it with the test.
func Open(t testing.TB, at place.Place, password string, options ...repository.Option) *repository.Repository {
	t.Helper()
	r, err := repository.Open(t.Context(), at, holdfast.NewSecret(password), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

// Read reads one of a set's files.
func Read(t testing.TB, files holdfast.Files, name string) []byte {
	t.Helper()
	in, err := files.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
