package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/capture/postgres"
)

// A program that is there, and does not say its version, is not called missing. Nor
// is any when the run is cancelled: the cause is named.
func TestAProgramThatDoesNotSayItsVersion(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pg_dump")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	tools := postgres.Tools{Dir: dir}
	err := tools.Suit(t.Context(), 15)
	if holdfast.ClassOf(err) != holdfast.Failed || !strings.Contains(err.Error(), path+" does not say its version") ||
		!strings.Contains(advice(err), "postgresql-client-15") {
		t.Errorf("%v; %s", err, advice(err))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the place does not answer")
	cancel(cause)
	for _, tools := range []postgres.Tools{{Dir: dir}, {Dir: t.TempDir()}} {
		if err := tools.Suit(ctx, 15); !errors.Is(err, cause) {
			t.Errorf("cancelled, in %q: %v", tools.Dir, err)
		}
	}
}
