package repository

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/storage/v1"
)

// gcsBlobs are the blobs of a bucket whose names begin with a prefix, named and
// written as kopia's own storage does, so that kopia reads them.
type gcsBlobs struct {
	blob.DefaultProviderImplementation

	objects *storage.ObjectsService
	bucket  string
	name    string
	prefix  string
	asOf    time.Time // read what existed then; zero: what exists
}

// googleLocked is the mode of a retention that nobody can shorten.
const googleLocked = "Locked"

// GetBlob implements blob.Reader.
func (s gcsBlobs) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	out.Reset()
	if offset < 0 {
		return blob.ErrInvalidRange
	}
	get, err := s.get(ctx, id)
	if err != nil {
		return err
	}
	if length >= 0 {
		get.Header().Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+max(length, 1)-1))
	}
	got, err := get.Download()
	if err != nil {
		return ofGoogle(err)
	}
	defer func() { _ = got.Body.Close() }()
	if length == 0 {
		return nil
	}
	if _, err := io.Copy(out, got.Body); err != nil {
		return err
	}
	return blob.EnsureLengthExactly(out.Length(), length)
}

// GetMetadata implements blob.Reader.
func (s gcsBlobs) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	get, err := s.get(ctx, id)
	if err != nil {
		return blob.Metadata{}, err
	}
	got, err := get.Fields("name,size,timeCreated").Do()
	if err != nil {
		return blob.Metadata{}, ofGoogle(err)
	}
	return s.metadata(got)
}

// get reads the blob of that name, or the version of it that existed then.
func (s gcsBlobs) get(ctx context.Context, id blob.ID) (*storage.ObjectsGetCall, error) {
	name := s.prefix + string(id)
	get := s.objects.Get(s.bucket, name).Context(ctx)
	if s.asOf.IsZero() {
		return get, nil
	}
	var generation int64
	err := s.each(ctx, name, func(o *storage.Object) error {
		if o.Name == name {
			generation = o.Generation
		}
		return nil
	})
	if err == nil && generation == 0 {
		err = blob.ErrBlobNotFound
	}
	return get.Generation(generation), err
}

// each calls fn with the objects whose names begin so, that exist or existed
// then.
func (s gcsBlobs) each(ctx context.Context, prefix string, fn func(*storage.Object) error) error {
	list := s.objects.List(s.bucket).Prefix(prefix).Versions(!s.asOf.IsZero()).
		Fields("nextPageToken,items(name,size,timeCreated,timeDeleted,generation)")
	return list.Pages(ctx, func(page *storage.Objects) error {
		for _, o := range page.Items {
			if !s.existed(o) {
				continue
			}
			if err := fn(o); err != nil {
				return err
			}
		}
		return nil
	})
}

// existed reports whether a version was the one of its name at that time.
func (s gcsBlobs) existed(o *storage.Object) bool {
	if s.asOf.IsZero() {
		return true
	}
	created, err := time.Parse(time.RFC3339, o.TimeCreated)
	deleted, alive := time.Parse(time.RFC3339, o.TimeDeleted)
	return err == nil && !created.After(s.asOf) && (alive != nil || deleted.After(s.asOf))
}

// metadata is what is known of an object.
func (s gcsBlobs) metadata(o *storage.Object) (blob.Metadata, error) {
	created, err := time.Parse(time.RFC3339, o.TimeCreated)
	return blob.Metadata{
		BlobID:    blob.ID(strings.TrimPrefix(o.Name, s.prefix)),
		Length:    int64(o.Size), //nolint:gosec // bytes of an object
		Timestamp: created,
	}, err
}

// ListBlobs implements blob.Reader.
func (s gcsBlobs) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	return s.each(ctx, s.prefix+string(prefix), func(o *storage.Object) error {
		m, err := s.metadata(o)
		if err != nil {
			return err
		}
		return each(m)
	})
}

// PutBlob implements blob.Storage. A blob is one request: kopia's storage would
// send it in pieces of a mebibyte, one after the other.
func (s gcsBlobs) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	if !o.SetModTime.IsZero() {
		return blob.ErrSetTimeUnsupported
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := data.WriteTo(sum); err != nil {
		return err
	}
	object := &storage.Object{
		Name:   s.prefix + string(id),
		Crc32c: base64.StdEncoding.EncodeToString(sum.Sum(nil)),
	}
	if o.HasRetentionOptions() {
		object.Retention = until(o.RetentionPeriod)
	}
	put := s.objects.Insert(s.bucket, object).Context(ctx).Fields("timeCreated").
		Media(data.Reader(), googleapi.ChunkSize(0), googleapi.ContentType("application/x-kopia"))
	if o.DoNotRecreate {
		put.IfGenerationMatch(0)
	}
	got, err := put.Do()
	if err == nil && o.GetModTime != nil {
		*o.GetModTime, err = time.Parse(time.RFC3339, got.TimeCreated)
	}
	return ofGoogle(err)
}

// DeleteBlob implements blob.Storage.
func (s gcsBlobs) DeleteBlob(ctx context.Context, id blob.ID) error {
	err := ofGoogle(s.objects.Delete(s.bucket, s.prefix+string(id)).Context(ctx).Do())
	if errors.Is(err, blob.ErrBlobNotFound) {
		return nil
	}
	return err
}

// ExtendBlobRetention implements blob.Storage.
func (s gcsBlobs) ExtendBlobRetention(ctx context.Context, id blob.ID, o blob.ExtendOptions) error {
	_, err := s.objects.Patch(s.bucket, s.prefix+string(id), &storage.Object{Retention: until(o.RetentionPeriod)}).
		Context(ctx).Do()
	return ofGoogle(err)
}

// until is the retention of an object for a period that begins now.
func until(period time.Duration) *storage.ObjectRetention {
	return &storage.ObjectRetention{
		Mode:            googleLocked,
		RetainUntilTime: now().Add(period).UTC().Truncate(time.Second).Format(time.RFC3339),
	}
}

// ConnectionInfo implements blob.Reader. It names no credentials.
func (s gcsBlobs) ConnectionInfo() blob.ConnectionInfo { return blob.ConnectionInfo{Type: handedOver} }

// DisplayName implements blob.Reader.
func (s gcsBlobs) DisplayName() string { return s.name }

// ofGoogle is an error of Google as kopia knows it.
func ofGoogle(err error) error {
	var google *googleapi.Error
	if !errors.As(err, &google) {
		return err
	}
	switch google.Code {
	case http.StatusNotFound:
		return blob.ErrBlobNotFound
	case http.StatusRequestedRangeNotSatisfiable:
		return blob.ErrInvalidRange
	case http.StatusPreconditionFailed:
		return blob.ErrBlobAlreadyExists
	}
	return err
}
