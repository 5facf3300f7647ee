package repository

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/kopia/kopia/repo/blob"
)

// azureBlobs are the blobs of a container whose names begin with a prefix, named
// and written as kopia's own storage does, so that kopia reads them.
type azureBlobs struct {
	blob.DefaultProviderImplementation

	container *container.Client
	name      string
	prefix    string
	asOf      time.Time // read what existed then; zero: what exists
}

// GetBlob implements blob.Reader.
func (s azureBlobs) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	out.Reset()
	if offset < 0 {
		return blob.ErrInvalidRange
	}
	var part azblob.HTTPRange // of no bytes: the whole blob
	if length >= 0 {
		part = azblob.HTTPRange{Offset: offset, Count: max(length, 1)}
	}
	client, _, err := s.seen(ctx, id)
	if err != nil {
		return ofAzure(err)
	}
	got, err := client.DownloadStream(ctx, &azblob.DownloadStreamOptions{Range: part})
	if err != nil {
		return ofAzure(err)
	}
	body := got.NewRetryReader(ctx, nil) // goes on where a connection broke
	defer func() { _ = body.Close() }()
	if length == 0 {
		return nil
	}
	if _, err := io.Copy(out, body); err != nil {
		return ofAzure(err)
	}
	return blob.EnsureLengthExactly(out.Length(), length)
}

// GetMetadata implements blob.Reader.
func (s azureBlobs) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	client, known, err := s.seen(ctx, id)
	if err != nil || known != nil {
		return s.metadata(known), ofAzure(err)
	}
	got, err := client.GetProperties(ctx, nil)
	if err != nil {
		return blob.Metadata{}, ofAzure(err)
	}
	return blob.Metadata{BlobID: id, Length: *got.ContentLength, Timestamp: *got.LastModified}, nil
}

// seen is the blob of that name; or the version of it that existed then, with what is
// known of that.
func (s azureBlobs) seen(ctx context.Context, id blob.ID) (*azblob.Client, *container.BlobItem, error) {
	name := s.prefix + string(id)
	client := s.container.NewBlobClient(name)
	if s.asOf.IsZero() {
		return client, nil, nil
	}
	var found *container.BlobItem
	err := s.each(ctx, name, func(b *container.BlobItem) error {
		if *b.Name == name {
			found = b
		}
		return nil
	})
	if err == nil && found == nil {
		err = blob.ErrBlobNotFound
	}
	if err != nil {
		return nil, nil, err
	}
	client, err = client.WithVersionID(*found.VersionID)
	return client, found, err
}

// ListBlobs implements blob.Reader.
func (s azureBlobs) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	return s.each(ctx, s.prefix+string(prefix), func(b *container.BlobItem) error { return each(s.metadata(b)) })
}

// each calls fn with the blobs whose names begin so, that exist or existed then.
func (s azureBlobs) each(ctx context.Context, prefix string, fn func(*container.BlobItem) error) error {
	past := !s.asOf.IsZero()
	pages := s.container.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
		Prefix:  to.Ptr(prefix),
		Include: container.ListBlobsInclude{Versions: past, DeletedWithVersions: past},
	})
	then := azurePast{at: s.asOf, fn: fn}
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, b := range page.Segment.BlobItems {
			if !past {
				err = fn(b)
			} else {
				err = then.look(b)
			}
			if err != nil {
				return err
			}
		}
	}
	return then.end()
}

// metadata is what is known of a blob; of none nothing.
func (s azureBlobs) metadata(b *container.BlobItem) blob.Metadata {
	if b == nil {
		return blob.Metadata{}
	}
	return blob.Metadata{
		BlobID:    blob.ID(strings.TrimPrefix(*b.Name, s.prefix)),
		Length:    *b.Properties.ContentLength,
		Timestamp: *b.Properties.LastModified,
	}
}

// PutBlob implements blob.Storage.
func (s azureBlobs) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	if !o.SetModTime.IsZero() {
		return blob.ErrSetTimeUnsupported
	}
	var upload blockblob.UploadOptions
	if o.DoNotRecreate {
		upload.AccessConditions = &azblob.AccessConditions{
			ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)},
		}
	}
	if o.HasRetentionOptions() {
		upload.ImmutabilityPolicyMode = to.Ptr(azblob.ImmutabilityPolicySettingLocked)
		upload.ImmutabilityPolicyExpiryTime = to.Ptr(now().Add(o.RetentionPeriod).UTC())
	}
	got, err := s.container.NewBlockBlobClient(s.prefix+string(id)).Upload(ctx, data.Reader(), &upload)
	if err == nil && o.GetModTime != nil {
		*o.GetModTime = *got.LastModified
	}
	return ofAzure(err)
}

// DeleteBlob implements blob.Storage.
func (s azureBlobs) DeleteBlob(ctx context.Context, id blob.ID) error {
	_, err := s.container.NewBlobClient(s.prefix+string(id)).Delete(ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil
	}
	return err
}

// ExtendBlobRetention implements blob.Storage.
func (s azureBlobs) ExtendBlobRetention(ctx context.Context, id blob.ID, o blob.ExtendOptions) error {
	_, err := s.container.NewBlobClient(s.prefix+string(id)).SetImmutabilityPolicy(ctx,
		now().Add(o.RetentionPeriod).UTC(),
		&azblob.SetImmutabilityPolicyOptions{Mode: to.Ptr(azblob.ImmutabilityPolicySettingLocked)})
	return ofAzure(err)
}

// ConnectionInfo implements blob.Reader. It names no credentials.
func (s azureBlobs) ConnectionInfo() blob.ConnectionInfo {
	return blob.ConnectionInfo{Type: handedOver}
}

// DisplayName implements blob.Reader.
func (s azureBlobs) DisplayName() string { return s.name }

// ofAzure is an error of Azure as kopia knows it.
func ofAzure(err error) error {
	switch {
	case bloberror.HasCode(err, bloberror.BlobNotFound):
		return blob.ErrBlobNotFound
	case bloberror.HasCode(err, bloberror.InvalidRange):
		return blob.ErrInvalidRange
	case bloberror.HasCode(err, bloberror.BlobAlreadyExists):
		return blob.ErrBlobAlreadyExists
	}
	return err
}
