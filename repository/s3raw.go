package repository

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/kopia/kopia/repo/blob"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"holdfast"
	"holdfast/place"
)

// rawS3 are the blobs of a bucket by single requests that nothing repeats: for
// finding out what may be done there, not for storing sets.
type rawS3 struct {
	blob.DefaultProviderImplementation

	client *minio.Client
	place.Place
	prefix string
}

func openRawS3(ctx context.Context, at entry) (blob.Storage, error) {
	client, err := s3Client(ctx, at)
	return rawS3{client: client, Place: at.Place, prefix: prefixOf(at.Place)}, err
}

// s3Client sends requests to the server of a bucket, each once.
func s3Client(ctx context.Context, at entry) (*minio.Client, error) {
	keys, region, err := s3Keys(ctx, at.Place, at.access)
	if err != nil {
		return nil, err
	}
	k, err := keys.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	transport, err := at.access.transport()
	if err != nil {
		return nil, err
	}
	return minio.New(s3Server(at.Place), &minio.Options{
		Creds:      credentials.NewStaticV4(k.AccessKeyID, k.SecretAccessKey, k.SessionToken),
		Secure:     at.Option(place.TLS) != place.Off,
		Transport:  transport,
		Region:     region,
		MaxRetries: 1,
	})
}

// keepsPast refuses a bucket without versions.
func keepsPast(ctx context.Context, at entry) error {
	client, err := s3Client(ctx, at)
	if err != nil {
		return err
	}
	versions, err := client.GetBucketVersioning(ctx, at.Bucket)
	if err != nil || versions.Enabled() || versions.Suspended() {
		return err
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  "bucket " + at.Bucket + " keeps no versions",
		Why:   "What was deleted or replaced in it is gone.",
		Do:    "Leave --as-of out, or read a second copy: HOLDFAST_REPOSITORY_PATH=PLACE.",
	}
}

// s3Server is the server of a bucket: AWS's, unless the place names another.
func s3Server(at place.Place) string {
	if at.Host == "" {
		return "s3.amazonaws.com"
	}
	return at.Host
}

func (s rawS3) name(id blob.ID) string { return s.prefix + string(id) }

// GetBlob implements blob.Reader, for whole blobs.
func (s rawS3) GetBlob(ctx context.Context, id blob.ID, _, _ int64, out blob.OutputBuffer) error {
	got, err := s.client.GetObject(ctx, s.Bucket, s.name(id), minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = got.Close() }()
	_, err = io.Copy(out, got)
	return err
}

// GetMetadata implements blob.Reader.
func (s rawS3) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	got, err := s.client.StatObject(ctx, s.Bucket, s.name(id), minio.StatObjectOptions{})
	if status := statusOf(err); status == http.StatusNotFound {
		return blob.Metadata{}, blob.ErrBlobNotFound
	}
	return blob.Metadata{BlobID: id, Length: got.Size, Timestamp: got.LastModified}, err
}

// ListBlobs implements blob.Reader.
func (s rawS3) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.client.ListObjects(ctx, s.Bucket, minio.ListObjectsOptions{Prefix: s.name(prefix)}) {
		if o.Err != nil {
			return o.Err
		}
		m := blob.Metadata{
			BlobID:    blob.ID(strings.TrimPrefix(o.Key, s.prefix)),
			Length:    o.Size,
			Timestamp: o.LastModified,
		}
		if err := each(m); err != nil {
			return err
		}
	}
	return nil
}

// PutBlob implements blob.Storage.
func (s rawS3) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	var text bytes.Buffer
	if _, err := data.WriteTo(&text); err != nil {
		return err
	}
	put := minio.PutObjectOptions{DisableMultipart: true, SendContentMd5: true}
	if o.HasRetentionOptions() {
		put.Mode, put.RetainUntilDate = minio.RetentionMode(o.RetentionMode), now().Add(o.RetentionPeriod).UTC()
	}
	_, err := s.client.PutObject(ctx, s.Bucket, s.name(id), &text, int64(text.Len()), put)
	return err
}

// DeleteBlob implements blob.Storage.
func (s rawS3) DeleteBlob(ctx context.Context, id blob.ID) error {
	return s.client.RemoveObject(ctx, s.Bucket, s.name(id), minio.RemoveObjectOptions{})
}

// ConnectionInfo implements blob.Reader. It names no credentials.
func (s rawS3) ConnectionInfo() blob.ConnectionInfo { return blob.ConnectionInfo{Type: handedOver} }

// DisplayName implements blob.Reader.
func (s rawS3) DisplayName() string { return s.String() }
