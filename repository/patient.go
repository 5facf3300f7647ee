package repository

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast/grace"
)

// How long a place outside of this machine may take.
var (
	openTime  = 15 * time.Second // to answer the first requests
	quietTime = 2 * time.Minute  // between two answers
	slowest   = int64(64 << 10)  // bytes a second that it has to take or give at least
)

// patient is a storage each of whose requests has a deadline. It ends kopia's
// retries below it as well: they look at the context between two attempts.
type patient struct {
	blob.Storage
	quiet   time.Duration // between two answers
	slowest int64         // bytes a second
	streams bool          // bytes are handed on as they come
}

// within runs a request with a deadline; the error says that it has passed.
func within(ctx context.Context, most time.Duration, request func(context.Context) error) error {
	limited, cancel := grace.Within(ctx, most)
	defer cancel()
	err := request(limited)
	if err != nil && limited.Err() != nil {
		return errors.Join(context.Cause(limited), err)
	}
	return err
}

// allowed is how long a blob of that many bytes may take.
func (s patient) allowed(bytes int64) time.Duration {
	return s.quiet + time.Duration(bytes/s.slowest)*time.Second
}

// GetBlob implements blob.Reader. A whole blob has a length that is not known: each
// byte that comes lengthens the deadline by what it may take. Where bytes come all
// at once the place is asked for the length before: a silent one would be waited for
// as long as one that gives the largest blob slowly.
func (s patient) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	bytes := length
	switch {
	case length < 0 && s.streams:
		return s.whole(ctx, id, offset, out)
	case length < 0:
		known, err := s.GetMetadata(ctx, id)
		if err != nil {
			return err
		}
		bytes = known.Length
	}
	return within(ctx, s.allowed(bytes), func(ctx context.Context) error {
		return s.Storage.GetBlob(ctx, id, offset, length, out)
	})
}

// whole reads a blob to its end.
func (s patient) whole(ctx context.Context, id blob.ID, offset int64, out blob.OutputBuffer) error {
	late := grace.Late{After: s.quiet}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	watchdog := time.AfterFunc(s.quiet, func() { cancel(late) })
	defer watchdog.Stop()
	err := s.Storage.GetBlob(ctx, id, offset, -1, &arriving{OutputBuffer: out, came: func(bytes int64) {
		watchdog.Reset(time.Until(began.Add(s.allowed(bytes))))
	}})
	return notCancelled(ctx, late, err)
}

// notCancelled says that a request ended because the place was silent, and not as
// one that the operator cancelled: it is ours that was.
func notCancelled(ctx context.Context, late grace.Late, err error) error {
	if err == nil || !errors.Is(context.Cause(ctx), late) {
		return err
	}
	return fmt.Errorf("%w: %v", late, err) //nolint:errorlint // which would be a cancellation
}

// arriving says how many bytes have come, those of repeated requests too.
type arriving struct {
	blob.OutputBuffer
	bytes int64
	came  func(bytes int64)
}

// Write implements io.Writer.
func (a *arriving) Write(p []byte) (int, error) {
	a.bytes += int64(len(p))
	a.came(a.bytes)
	return a.OutputBuffer.Write(p)
}

// GetMetadata implements blob.Reader.
func (s patient) GetMetadata(ctx context.Context, id blob.ID) (m blob.Metadata, err error) {
	err = within(ctx, s.quiet, func(ctx context.Context) (err error) {
		m, err = s.Storage.GetMetadata(ctx, id)
		return err
	})
	return m, err
}

// ListBlobs implements blob.Reader. A list may take long, as long as it goes on.
func (s patient) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	quiet := grace.Late{After: s.quiet}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(s.quiet, func() { cancel(quiet) })
	defer watchdog.Stop()
	err := s.Storage.ListBlobs(ctx, prefix, func(m blob.Metadata) error {
		watchdog.Stop() // what is done with a blob is not the place's time
		defer watchdog.Reset(s.quiet)
		return each(m)
	})
	return notCancelled(ctx, quiet, err)
}

// PutBlob implements blob.Storage.
func (s patient) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	return within(ctx, s.allowed(int64(data.Length())), func(ctx context.Context) error {
		return s.Storage.PutBlob(ctx, id, data, o)
	})
}

// DeleteBlob implements blob.Storage.
func (s patient) DeleteBlob(ctx context.Context, id blob.ID) error {
	return within(ctx, s.quiet, func(ctx context.Context) error { return s.Storage.DeleteBlob(ctx, id) })
}

// ExtendBlobRetention implements blob.Storage.
func (s patient) ExtendBlobRetention(ctx context.Context, id blob.ID, o blob.ExtendOptions) error {
	return within(ctx, s.quiet, func(ctx context.Context) error { return s.Storage.ExtendBlobRetention(ctx, id, o) })
}
