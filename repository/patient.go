package repository

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kopia/kopia/repo/blob"
)

// How long a place outside of this machine may take.
var (
	openTime  = 15 * time.Second // to answer the first requests
	quietTime = 2 * time.Minute  // between two answers
	slowest   = int64(64 << 10)  // bytes a second that it has to take or give at least
)

// patient is a storage each of whose requests has a deadline. It ends kopia's
// retries below it as well: they look at the context between two attempts.
type patient struct{ blob.Storage }

// late is the error of a request that was given up.
type late struct{ after time.Duration }

func (l late) Error() string { return fmt.Sprintf("no answer within %v", l.after) }

// within runs a request with a deadline; the error says that it has passed.
func within(ctx context.Context, most time.Duration, request func(context.Context) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, most, late{most})
	defer cancel()
	err := request(limited)
	if err != nil && limited.Err() != nil {
		return errors.Join(context.Cause(limited), err)
	}
	return err
}

// allowed is how long a blob of that many bytes may take; negative when its
// length is unknown.
func allowed(bytes int64) time.Duration {
	const largest = 64 << 20 // kopia's packs have 20 to 40 MB
	if bytes < 0 {
		bytes = largest
	}
	return quietTime + time.Duration(bytes/slowest)*time.Second
}

// GetBlob implements blob.Reader.
func (s patient) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	return within(ctx, allowed(length), func(ctx context.Context) error {
		return s.Storage.GetBlob(ctx, id, offset, length, out)
	})
}

// GetMetadata implements blob.Reader.
func (s patient) GetMetadata(ctx context.Context, id blob.ID) (m blob.Metadata, err error) {
	err = within(ctx, quietTime, func(ctx context.Context) (err error) {
		m, err = s.Storage.GetMetadata(ctx, id)
		return err
	})
	return m, err
}

// ListBlobs implements blob.Reader. A list may take long, as long as it goes on.
func (s patient) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	quiet := late{quietTime}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(quietTime, func() { cancel(quiet) })
	defer watchdog.Stop()
	err := s.Storage.ListBlobs(ctx, prefix, func(m blob.Metadata) error {
		watchdog.Stop() // what is done with a blob is not the place's time
		defer watchdog.Reset(quietTime)
		return each(m)
	})
	if err != nil && errors.Is(context.Cause(ctx), quiet) {
		return errors.Join(quiet, err)
	}
	return err
}

// PutBlob implements blob.Storage.
func (s patient) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	return within(ctx, allowed(int64(data.Length())), func(ctx context.Context) error {
		return s.Storage.PutBlob(ctx, id, data, o)
	})
}

// DeleteBlob implements blob.Storage.
func (s patient) DeleteBlob(ctx context.Context, id blob.ID) error {
	return within(ctx, quietTime, func(ctx context.Context) error { return s.Storage.DeleteBlob(ctx, id) })
}

// ExtendBlobRetention implements blob.Storage.
func (s patient) ExtendBlobRetention(ctx context.Context, id blob.ID, o blob.ExtendOptions) error {
	return within(ctx, quietTime, func(ctx context.Context) error { return s.Storage.ExtendBlobRetention(ctx, id, o) })
}
