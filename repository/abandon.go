package repository

import (
	"bytes"
	"context"
	"slices"

	"github.com/kopia/kopia/repo/blob"

	"holdfast/grace"
)

// abandoning is a storage whose requests look at no context: kopia's of SFTP and
// of WebDAV. Nobody waits for one that is late, and what it reads or writes is
// its own, whenever it ends.
type abandoning struct{ blob.Storage }

// inTime opens a storage, and closes one that opens late. What is opened may
// keep its context, for later requests, so it gets one that ends only when it is
// late.
func inTime(
	ctx context.Context, open func(context.Context) (blob.Storage, error),
) (blob.Storage, error) {
	opening, stop := context.WithCancel(context.WithoutCancel(ctx))
	opened := make(chan blob.Storage, 1)
	keep := context.AfterFunc(ctx, stop)
	err := leave(ctx, func() error {
		st, err := open(opening)
		opened <- st
		return err
	})
	if !keep() {
		go func() {
			if late := <-opened; late != nil {
				_ = late.Close(context.WithoutCancel(ctx))
			}
		}()
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return <-opened, nil
}

// leave runs a request, and leaves it alone when the context ends.
func leave(ctx context.Context, request func() error) error {
	done := make(chan error, 1)
	go func() { done <- request() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// GetBlob implements blob.Reader.
func (s abandoning) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	var b raw
	err := leave(ctx, func() error { return s.Storage.GetBlob(ctx, id, offset, length, &b) })
	if err != nil {
		return err
	}
	out.Reset()
	_, err = out.Write(b.Bytes())
	return err
}

// GetMetadata implements blob.Reader.
func (s abandoning) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	got := make(chan blob.Metadata, 1)
	err := leave(ctx, func() error {
		m, err := s.Storage.GetMetadata(ctx, id)
		got <- m
		return err
	})
	if err != nil {
		return blob.Metadata{}, err
	}
	return <-got, nil
}

// ListBlobs implements blob.Reader.
func (s abandoning) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	got := make(chan []blob.Metadata, 1)
	err := leave(ctx, func() error {
		list, err := blob.ListAllBlobs(ctx, s.Storage, prefix)
		got <- list
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range <-got {
		if err := each(m); err != nil {
			return err
		}
	}
	return nil
}

// PutBlob implements blob.Storage.
func (s abandoning) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	var own bytes.Buffer
	if _, err := data.WriteTo(&own); err != nil {
		return err
	}
	return leave(ctx, func() error { return s.Storage.PutBlob(ctx, id, payload{slices.Clip(own.Bytes())}, o) })
}

// DeleteBlob implements blob.Storage.
func (s abandoning) DeleteBlob(ctx context.Context, id blob.ID) error {
	return leave(ctx, func() error { return s.Storage.DeleteBlob(ctx, id) })
}

// Close implements blob.Storage. A connection behind which nobody is any more is
// left alone: all that was to be stored was confirmed before.
func (s abandoning) Close(ctx context.Context) error {
	ctx, cancel := grace.Within(ctx, openTime)
	defer cancel()
	err := leave(ctx, func() error { return s.Storage.Close(ctx) })
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it is late, and nothing is lost
	}
	return err
}
