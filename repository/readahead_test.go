package repository_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/storetest"
	"holdfast/repository"
)

// A file is read with readahead. Its reader may stop in the middle, cancel, or
// reach a piece that no longer exists.
func TestReadaheadEndsWithItsReader(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		rows := random(42, 40<<20)
		if err := store(t.Context(), r, aSet("n", 1, holdfast.Proven, "app/rows.copy"),
			map[string][]byte{"app/rows.copy": rows}); err != nil {
			t.Fatal(err)
		}
		_, files, err := r.Latest(t.Context(), "n")
		if err != nil {
			t.Fatal(err)
		}
		begin := make([]byte, 3<<20)

		in := opened(t.Context(), t, files)
		if _, err := io.ReadFull(in, begin); err != nil || !bytes.Equal(begin, rows[:len(begin)]) {
			t.Errorf("the begin came back different: %v", err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if n, err := in.Read(begin); n != 0 || err == nil {
			t.Errorf("%d bytes of a closed file, %v", n, err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		in = opened(ctx, t, files)
		if _, err := io.ReadFull(in, begin); err != nil {
			t.Error(err)
		}
		cancel()
		if _, err := io.ReadAll(in); !errors.Is(err, context.Canceled) {
			t.Errorf("read to the end after it was cancelled: %v", err)
		}
		_ = in.Close()

		in = opened(t.Context(), t, files)
		if _, err := io.ReadFull(in, begin[:1]); err != nil {
			t.Error(err)
		}
		for _, id := range names(t, at, "p") {
			removeBlob(t, at, id)
		}
		if _, err := io.ReadAll(in); err == nil || !strings.Contains(err.Error(), "read app/rows.copy from repository") {
			t.Errorf("read to the end, with the data gone: %v", err)
		}
		_ = in.Close()
	})
}

// Most of a file is read long after it was opened. A server that falls silent
// meanwhile is named, and is no fault of the set.
func TestAFileWhoseServerFallsSilent(t *testing.T) {
	password := holdfast.NewSecret("canary")
	server := storetest.S3(t)
	if err := repository.Create(t.Context(), server.Place, password, repository.By(server.Access)); err != nil {
		t.Fatal(err)
	}
	behind, front := server.Behind(t)
	behind.Access.Silence = time.Second
	defer repository.SetSlowest(8 << 20)()
	r, err := repository.Open(t.Context(), behind.Place, password, repository.By(behind.Access))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close(context.WithoutCancel(t.Context())) }()
	if err := store(t.Context(), r, aSet("n", 1, holdfast.Proven, "app/rows.copy"),
		map[string][]byte{"app/rows.copy": random(42, 40<<20)}); err != nil {
		t.Fatal(err)
	}
	_, files, err := r.Latest(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	in := opened(t.Context(), t, files)
	defer func() { _ = in.Close() }()
	if _, err := io.ReadFull(in, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	front.Disturb(storetest.HalfOpen, 0, 0)
	_, err = io.ReadAll(in)
	front.Disturb(storetest.Passes, 0, 0)
	_, do := holdfast.Advice(err)
	want := "read app/rows.copy from repository " + behind.Place.String() + ": the server does not answer"
	if holdfast.ClassOf(err) != holdfast.Unreachable || !strings.Contains(err.Error(), want) || do == "" {
		t.Errorf("%v (%s): %s", err, holdfast.ClassOf(err), do)
	}
}

func opened(ctx context.Context, t *testing.T, files holdfast.Files) io.ReadCloser {
	t.Helper()
	in, err := files.Open(ctx, "app/rows.copy")
	if err != nil {
		t.Fatal(err)
	}
	return in
}
