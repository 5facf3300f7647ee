package repository

import (
	"context"

	"github.com/kopia/kopia/repo/blob"
	"golang.org/x/time/rate"
)

// Limits are the most that a place outside of this machine is sent and asked in a
// second, on average; zeros for no limit.
type Limits struct {
	Upload   int64 // bytes of blobs
	Download int64 // bytes of blobs
	Requests int64
}

// Limited keeps the traffic with the place of the repository below limits. A
// directory has none.
func Limited(by Limits) Option { return func(l *location) { l.limits = by } }

// limiter is shared by all storages of one place.
type limiter struct{ upload, download, requests *rate.Limiter }

func limiterOf(l Limits) *limiter {
	return &limiter{perSecond(l.Upload), perSecond(l.Download), perSecond(l.Requests)}
}

// perSecond allows the first second's worth at once.
func perSecond(n int64) *rate.Limiter {
	if n <= 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(n), int(n))
}

// spend waits until n may go. More than a second's worth is spent in portions, so
// that others take their turn in between.
func spend(ctx context.Context, l *rate.Limiter, n int64) error {
	if l.Limit() == rate.Inf {
		return nil
	}
	for n > 0 {
		portion := min(n, int64(l.Burst()))
		if err := l.WaitN(ctx, int(portion)); err != nil {
			return err
		}
		n -= portion
	}
	return nil
}

// limited is a storage that waits for its turn. It waits before the deadline of a
// request begins, and never with a lease, a lock or a marker: they are small, and
// who comes too late with one loses it.
type limited struct {
	blob.Storage
	by *limiter
}

// request waits for the turn of a request for a blob.
func (s limited) request(ctx context.Context, id blob.ID) error {
	if passing(id) {
		return nil
	}
	return spend(ctx, s.by.requests, 1)
}

// GetBlob implements blob.Reader. How much comes is known behind it.
func (s limited) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	if err := s.request(ctx, id); err != nil {
		return err
	}
	if err := s.Storage.GetBlob(ctx, id, offset, length, out); err != nil || passing(id) {
		return err
	}
	return spend(ctx, s.by.download, int64(out.Length()))
}

// GetMetadata implements blob.Reader.
func (s limited) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	if err := s.request(ctx, id); err != nil {
		return blob.Metadata{}, err
	}
	return s.Storage.GetMetadata(ctx, id)
}

// ListBlobs implements blob.Reader.
func (s limited) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	if err := s.request(ctx, prefix); err != nil {
		return err
	}
	return s.Storage.ListBlobs(ctx, prefix, each)
}

// PutBlob implements blob.Storage.
func (s limited) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	if err := s.request(ctx, id); err != nil {
		return err
	}
	if !passing(id) {
		if err := spend(ctx, s.by.upload, int64(data.Length())); err != nil {
			return err
		}
	}
	return s.Storage.PutBlob(ctx, id, data, o)
}

// DeleteBlob implements blob.Storage.
func (s limited) DeleteBlob(ctx context.Context, id blob.ID) error {
	if err := s.request(ctx, id); err != nil {
		return err
	}
	return s.Storage.DeleteBlob(ctx, id)
}

// ExtendBlobRetention implements blob.Storage.
func (s limited) ExtendBlobRetention(ctx context.Context, id blob.ID, o blob.ExtendOptions) error {
	if err := s.request(ctx, id); err != nil {
		return err
	}
	return s.Storage.ExtendBlobRetention(ctx, id, o)
}
