package repository

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/s3"

	"holdfast"
	"holdfast/place"
)

// openS3 opens a bucket of S3, or of a server that speaks it. The keys come
// from the configuration, or by AWS's own chain: environment, shared
// configuration and profiles, web identity, the role of the machine. kopia
// knows fewer of these ways, so it is handed what they give, and a storage of
// newer keys once they have expired.
func openS3(ctx context.Context, at entry) (blob.Storage, error) {
	keys, region, err := s3Keys(ctx, at.Place, at.access)
	if err != nil {
		return nil, err
	}
	trusted, err := at.access.authority()
	if err != nil {
		return nil, err
	}
	o := s3.Options{
		BucketName:  at.Bucket,
		Prefix:      prefixOf(at.Place),
		Endpoint:    s3Server(at.Place),
		Region:      region,
		DoNotUseTLS: at.Option(place.TLS) == place.Off,
		RootCA:      trusted,
	}
	if !at.asOf.IsZero() {
		if err := keepsPast(ctx, at); err != nil {
			return nil, err
		}
		o.PointInTime = &at.asOf
	}
	return renewing(ctx, keys, func(ctx context.Context, k aws.Credentials) (blob.Storage, error) {
		o := o
		o.AccessKeyID, o.SecretAccessKey, o.SessionToken = k.AccessKeyID, k.SecretAccessKey, k.SessionToken
		return s3.New(ctx, &o, false)
	})
}

// s3Keys says where keys come from, and the region of the configuration that
// they came with, unless the place names its own.
func s3Keys(ctx context.Context, at place.Place, a Access) (aws.CredentialsProvider, string, error) {
	region := at.Option(place.Region)
	if a.ID != nil || a.Secret != nil {
		c, err := a.read(ctx)
		if err == nil && (c.id == "" || c.secret == "") {
			err = errors.New("repository.access: s3 needs both id and secret, or neither")
		}
		return credentials.NewStaticCredentialsProvider(c.id, c.secret, c.token), region, err
	}
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithLogger(logging.Nop{}), // a library is silent
		awsconfig.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = early }),
	}
	if profile := at.Option(place.Profile); profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(profile))
	}
	found, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err == nil {
		err = anyKeys(ctx, found.Credentials)
	}
	if region == "" {
		region = found.Region
	}
	return found.Credentials, region, err
}

// anyKeys says what to do where AWS's own chain has found no keys.
func anyKeys(ctx context.Context, keys aws.CredentialsProvider) error {
	_, err := keys.Retrieve(ctx)
	if err == nil {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Usage,
		What:  "no credentials for s3",
		Err:   err,
		Why:   "Neither repository.access nor AWS's own configuration nor a role of this machine has any.",
		Do: "Name repository.access.id and repository.access.secret, or set AWS_PROFILE. To try again: " +
			"`holdfast config check --live`.",
	}
}

// prefixOf is what the names of all blobs of a place begin with.
func prefixOf(at place.Place) string {
	if at.Path == "" {
		return ""
	}
	return at.Path + "/"
}

// early is how long before their end keys of the chain are replaced. The end of
// keys that it gives is this much before the real one.
const early = 5 * time.Minute

// renewed is a storage that is opened again with other keys once its own are about
// to expire.
type renewed struct {
	blob.Storage // of the first keys, for what asks no server

	keys aws.CredentialsProvider
	open func(context.Context, aws.Credentials) (blob.Storage, error)

	mu      sync.Mutex
	current blob.Storage
	with    aws.Credentials
}

func renewing(
	ctx context.Context, keys aws.CredentialsProvider,
	open func(context.Context, aws.Credentials) (blob.Storage, error),
) (blob.Storage, error) {
	r := &renewed{keys: keys, open: open}
	st, err := r.now(ctx)
	if err != nil {
		return nil, err
	}
	r.Storage = st
	return r, nil
}

// now is the storage with keys that are good for a while. To open it again costs a
// request, so this happens only for other keys. While there are none, the ones at
// hand are used to their end.
func (r *renewed) now(ctx context.Context) (blob.Storage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	opened := r.current != nil
	if opened && (!r.with.CanExpire || time.Until(r.with.Expires) > 0) {
		return r.current, nil
	}
	k, err := r.keys.Retrieve(ctx)
	switch {
	case err != nil && opened && time.Until(r.with.Expires) > -early:
		return r.current, nil
	case err != nil:
		return nil, err
	case opened && k.AccessKeyID == r.with.AccessKeyID && k.SessionToken == r.with.SessionToken:
		r.with = k
		return r.current, nil
	}
	st, err := r.open(ctx, k)
	if err != nil {
		return nil, err
	}
	r.current, r.with = st, k
	return st, nil
}

// GetBlob implements blob.Reader.
func (r *renewed) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	st, err := r.now(ctx)
	if err != nil {
		return err
	}
	return st.GetBlob(ctx, id, offset, length, out)
}

// GetMetadata implements blob.Reader.
func (r *renewed) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	st, err := r.now(ctx)
	if err != nil {
		return blob.Metadata{}, err
	}
	return st.GetMetadata(ctx, id)
}

// ListBlobs implements blob.Reader.
func (r *renewed) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	st, err := r.now(ctx)
	if err != nil {
		return err
	}
	return st.ListBlobs(ctx, prefix, each)
}

// PutBlob implements blob.Storage.
func (r *renewed) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	st, err := r.now(ctx)
	if err != nil {
		return err
	}
	return st.PutBlob(ctx, id, data, o)
}

// DeleteBlob implements blob.Storage.
func (r *renewed) DeleteBlob(ctx context.Context, id blob.ID) error {
	st, err := r.now(ctx)
	if err != nil {
		return err
	}
	return st.DeleteBlob(ctx, id)
}

// ExtendBlobRetention implements blob.Storage.
func (r *renewed) ExtendBlobRetention(ctx context.Context, id blob.ID, o blob.ExtendOptions) error {
	st, err := r.now(ctx)
	if err != nil {
		return err
	}
	return st.ExtendBlobRetention(ctx, id, o)
}
