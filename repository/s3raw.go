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

	"holdfast/place"
)

// rawS3 are the blobs of a bucket by single requests that nothing repeats: for
// finding out what may be done there, not for storing sets.
type rawS3 struct {
	blob.DefaultProviderImplementation

	client *minio.Client
	at     place.Place
	prefix string
}

func openRawS3(ctx context.Context, at place.Place, a Access, _ bool) (blob.Storage, error) {
	keys, region, err := s3Keys(ctx, at, a)
	if err != nil {
		return nil, err
	}
	k, err := keys.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	transport, err := a.transport()
	if err != nil {
		return nil, err
	}
	client, err := minio.New(s3Server(at), &minio.Options{
		Creds:      credentials.NewStaticV4(k.AccessKeyID, k.SecretAccessKey, k.SessionToken),
		Secure:     at.Option(place.TLS) != place.Off,
		Transport:  transport,
		Region:     region,
		MaxRetries: 1,
	})
	return rawS3{client: client, at: at, prefix: prefixOf(at)}, err
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
	got, err := s.client.GetObject(ctx, s.at.Bucket, s.name(id), minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = got.Close() }()
	_, err = io.Copy(out, got)
	return err
}

// GetMetadata implements blob.Reader.
func (s rawS3) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	got, err := s.client.StatObject(ctx, s.at.Bucket, s.name(id), minio.StatObjectOptions{})
	if status := statusOf(err); status == http.StatusNotFound {
		return blob.Metadata{}, blob.ErrBlobNotFound
	}
	return blob.Metadata{BlobID: id, Length: got.Size, Timestamp: got.LastModified}, err
}

// ListBlobs implements blob.Reader.
func (s rawS3) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.client.ListObjects(ctx, s.at.Bucket, minio.ListObjectsOptions{Prefix: s.name(prefix)}) {
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
func (s rawS3) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, _ blob.PutOptions) error {
	var text bytes.Buffer
	if _, err := data.WriteTo(&text); err != nil {
		return err
	}
	_, err := s.client.PutObject(ctx, s.at.Bucket, s.name(id), &text, int64(text.Len()),
		minio.PutObjectOptions{DisableMultipart: true, SendContentMd5: true})
	return err
}

// DeleteBlob implements blob.Storage.
func (s rawS3) DeleteBlob(ctx context.Context, id blob.ID) error {
	return s.client.RemoveObject(ctx, s.at.Bucket, s.name(id), minio.RemoveObjectOptions{})
}

// ConnectionInfo implements blob.Reader. It names no credentials.
func (s rawS3) ConnectionInfo() blob.ConnectionInfo { return blob.ConnectionInfo{Type: handedOver} }

// DisplayName implements blob.Reader.
func (s rawS3) DisplayName() string { return s.at.String() }
