package repository

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"github.com/minio/minio-go/v7"
	"github.com/pkg/sftp"

	"holdfast"
	"holdfast/place"
)

// Right is something that whoever stores sets does in a place.
type Right string

// The rights, in the order in which they are tried.
const (
	ToList      Right = "list"
	ToWrite     Right = "write"
	ToRead      Right = "read"
	ToOverwrite Right = "overwrite"
	ToDelete    Right = "delete"
	ToSeePast   Right = "list versions"
	ToLock      Right = "lock"
)

// Tried is what trying a right came to: an error if it was refused.
type Tried struct {
	Right Right
	Err   error
}

// probePrefix is that of the blobs by which a place is probed. A node may delete
// those whose names begin so.
const probePrefix = lockPrefix + "probe-"

const (
	probeText    = note("Holdfast has tried what it may do here. This can be deleted.\n")
	probeChanged = note("Holdfast has tried what it may do here, and to overwrite it. This can be deleted.\n")
)

// Probe tries what a node does in a place outside of this machine: with requests
// of its own, which nothing repeats, within seconds. Only what may not be deleted is
// left there. The error is that of a place that does not answer, or lets nobody in. For
// a directory of another machine that does not exist, one that is removed again is made
// where it would be. One of this machine is not probed: it says what is wrong when it is
// opened.
func Probe(ctx context.Context, in place.Place, options ...Option) ([]Tried, error) {
	at, err := locate(in, options)
	if err != nil {
		return nil, err
	}
	open, ok := probers[in.Scheme]
	if !ok {
		return nil, nil
	}
	var tried []Tried
	err = within(ctx, openTime, func(ctx context.Context) error {
		st, err := inTime(ctx, func(ctx context.Context) (blob.Storage, error) { return open(ctx, at.entry()) })
		if err != nil {
			return err
		}
		defer func() { _ = st.Close(context.WithoutCancel(ctx)) }()
		tried, err = probe(ctx, st, at.further(ctx, st))
		return err
	})
	if err != nil {
		return nil, refusal("open repository "+in.String(), err)
	}
	for i, t := range tried {
		if t.Err != nil {
			tried[i].Err = at.missing(t)
		}
	}
	return tried, nil
}

// probers open the storages by which places are probed. kopia's own try ten times
// what was refused, so those are not it.
var probers = map[place.Scheme]opener{
	place.S3:     openRawS3,
	place.GCS:    openRawGCS,
	place.Azure:  openAzure,
	place.SFTP:   openRawSFTP,
	place.WebDAV: openRawWebDAV,
}

// probe tries the rights one after the other, as far as they do not build on one
// that was refused. Its error is that of a storage that does not serve at all.
func probe(ctx context.Context, st blob.Storage, further []trial) ([]Tried, error) {
	id := probeName()
	put := func(text note) func() error {
		return func() error { return st.PutBlob(ctx, id, text, blob.PutOptions{}) }
	}
	var tried []Tried
	for _, step := range append([]trial{
		{ToList, func() error { return st.ListBlobs(ctx, probePrefix, func(blob.Metadata) error { return nil }) }},
		{ToWrite, put(probeText)},
		{ToRead, func() error { return readsBack(ctx, st, id, probeText) }},
		{ToOverwrite, func() error { return errors.Join(put(probeChanged)(), readsBack(ctx, st, id, probeChanged)) }},
		{ToDelete, func() error { return st.DeleteBlob(ctx, id) }},
	}, further...) {
		err := step.try()
		if err != nil && !refusesRight(err) {
			return nil, err
		}
		tried = append(tried, Tried{step.right, err})
		if err != nil && step.right == ToWrite {
			break // there is nothing to try the others with
		}
	}
	if !slices.ContainsFunc(tried, func(t Tried) bool { return t.Err == nil }) {
		return nil, tried[0].Err // nothing at all is allowed: these are other credentials
	}
	return tried, nil
}

// trial tries one right.
type trial struct {
	right Right
	try   func() error
}

// probeName is the name of a blob to try something with.
func probeName() blob.ID {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return blob.ID(probePrefix + hex.EncodeToString(random[:]))
}

// further are the rights that some places have, or some repositories need: to list
// what was replaced or deleted, which is the way back after an attack, and to lock.
func (l location) further(ctx context.Context, st blob.Storage) (list []trial) {
	if see, ok := seesPast[l.Scheme]; ok {
		list = append(list, trial{ToSeePast, func() error { return see(ctx, l) }})
	}
	if l.lockFor != (ObjectLock{}) {
		list = append(list, trial{ToLock, func() error { return l.locksOne(ctx, st) }})
	}
	return list
}

// seesPast list the versions of what probes left behind.
var seesPast = map[place.Scheme]func(context.Context, location) error{
	place.S3:    s3Past,
	place.GCS:   listsPast,
	place.Azure: listsPast,
}

// listsPast lists what a bucket of Google or a container of Azure has now, as it is
// listed for the past: with the versions of each blob.
func listsPast(ctx context.Context, l location) error {
	e := l.entry()
	st, err := probers[l.Scheme](ctx, e)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close(context.WithoutCancel(ctx)) }()
	switch past := st.(type) {
	case gcsBlobs:
		past.asOf = now()
		st = past
	case azureBlobs:
		past.asOf = now()
		st = past
	}
	return st.ListBlobs(ctx, probePrefix, func(blob.Metadata) error { return nil })
}

// s3Past is the same of a bucket of S3.
func s3Past(ctx context.Context, l location) error {
	client, err := s3Client(ctx, l.entry())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // it goes on listing until then
	first, listed := <-client.ListObjects(ctx, l.Bucket, minio.ListObjectsOptions{
		Prefix:       prefixOf(l.Place) + probePrefix,
		WithVersions: true,
		MaxKeys:      1,
	})
	if !listed || statusOf(first.Err) == http.StatusNotImplemented {
		return nil // it keeps none
	}
	return first.Err
}

// briefly is how long a probe locks its blob.
const briefly = time.Minute

// locksOne stores a blob that is locked for a minute, and deletes it as far as it
// can be: what a bucket with versions keeps of it is a line of text.
func (l location) locksOne(ctx context.Context, st blob.Storage) error {
	id := probeName()
	err := st.PutBlob(ctx, id, probeText, blob.PutOptions{
		RetentionMode:   blob.RetentionMode(l.lockFor.Mode),
		RetentionPeriod: briefly,
	})
	if err == nil {
		_ = st.DeleteBlob(ctx, id)
	}
	return err
}

// readsBack compares a blob with what was written.
func readsBack(ctx context.Context, st blob.Storage, id blob.ID, text note) error {
	var b raw
	if err := st.GetBlob(ctx, id, 0, -1, &b); err != nil {
		return err
	}
	if !bytes.Equal(b.Bytes(), []byte(text)) {
		return errors.New("what was written came back different")
	}
	return nil
}

// refused reports whether a server has understood a request, and refused it.
func refused(err error) bool {
	status := statusOf(err)
	return status == http.StatusForbidden || status == http.StatusMethodNotAllowed || status == http.StatusConflict
}

// refusesRight reports whether a server, of directories too, has understood a
// request, and refused it.
func refusesRight(err error) bool {
	var sftpStatus *sftp.StatusError
	return refused(err) || errors.Is(err, fs.ErrPermission) ||
		errors.As(err, &sftpStatus) && sftpStatus.FxCode() == sftp.ErrSSHFxOpUnsupported ||
		statusOf(err) == http.StatusNotImplemented
}

// missing says which permission is missing, and where it stands.
func (l location) missing(t Tried) error {
	p := &holdfast.Problem{
		Class: holdfast.Failed,
		What:  fmt.Sprintf("repository %s: it refuses to %s", l, t.Right),
		Err:   t.Err,
		Why:   needed(t.Right),
		Do:    "Grant it. To try again: `holdfast config check --live`.",
	}
	if g, ok := grants[l.Scheme][t.Right]; ok {
		p.Do = fmt.Sprintf("Grant %s, %s. To try again: `holdfast config check --live`.", g.permission, g.where())
	}
	return p
}

// needed says what a right is needed for.
func needed(right Right) string {
	switch right {
	case ToSeePast:
		return "Without it nobody reads the repository as it was before an attack, with --as-of."
	case ToLock:
		return "Without it the node stores sets that an attacker can delete."
	}
	return fmt.Sprintf("A node that may not %s there cannot store sets.", right)
}

// grant is what permits something, and the file of this project that grants it or
// says how.
type grant struct{ permission, policy string }

// where says where the grant stands.
func (g grant) where() string {
	if strings.HasSuffix(g.policy, ".md") {
		return "see " + g.policy
	}
	return "as in " + g.policy
}

// The policies of nodes, and what Azure's permissions begin with.
const (
	s3Policy     = "docs/policies/s3-node.json"
	gcsPolicy    = "docs/policies/gcs-node.yaml"
	gcsMarkers   = "docs/policies/gcs-node-markers.yaml"
	azurePolicy  = "docs/policies/azure-node.json"
	ofServers    = "docs/places.md"
	blobsOfAzure = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/"
)

// grants are the permissions behind the rights, by kind of place.
var grants = map[place.Scheme]map[Right]grant{
	place.S3: {
		ToList:      {"s3:ListBucket", s3Policy},
		ToWrite:     {"s3:PutObject", s3Policy},
		ToRead:      {"s3:GetObject", s3Policy},
		ToOverwrite: {"s3:PutObject", s3Policy},
		ToDelete:    {"s3:DeleteObject", s3Policy},
		ToSeePast:   {"s3:ListBucketVersions", s3Policy},
		ToLock:      {"s3:PutObjectRetention", s3Policy},
	},
	place.GCS: {
		ToList:      {"storage.objects.list", gcsPolicy},
		ToWrite:     {"storage.objects.create", gcsPolicy},
		ToRead:      {"storage.objects.get", gcsPolicy},
		ToOverwrite: {"storage.objects.delete", gcsMarkers},
		ToDelete:    {"storage.objects.delete", gcsMarkers},
		ToSeePast:   {"storage.objects.list", gcsPolicy},
		ToLock:      {"storage.objects.setRetention", gcsPolicy},
	},
	place.Azure: {
		ToList:      {blobsOfAzure + "read", azurePolicy},
		ToWrite:     {blobsOfAzure + "write", azurePolicy},
		ToRead:      {blobsOfAzure + "read", azurePolicy},
		ToOverwrite: {blobsOfAzure + "write", azurePolicy},
		ToDelete:    {blobsOfAzure + "delete", azurePolicy},
		ToSeePast:   {blobsOfAzure + "read", azurePolicy},
		ToLock:      {blobsOfAzure + "immutableStorage/runAsSuperUser/action", ofServers},
	},
	place.SFTP: {
		ToList:      {"mode `r-x` on the directory", ofServers},
		ToWrite:     {"mode `-wx` on the directory, and `posix-rename`", ofServers},
		ToRead:      {"mode `r--` on the files", ofServers},
		ToOverwrite: {"mode `-wx` on the directory, and `posix-rename`", ofServers},
		ToDelete:    {"mode `-wx` on the directory, and `remove`", ofServers},
	},
	place.WebDAV: {
		ToList:      {"the method `PROPFIND`", ofServers},
		ToWrite:     {"the methods `PUT`, `MKCOL` and `MOVE`", ofServers},
		ToRead:      {"the method `GET`", ofServers},
		ToOverwrite: {"the method `MOVE` with `Overwrite: T`", ofServers},
		ToDelete:    {"the method `DELETE`", ofServers},
	},
}

// isProbe reports whether a blob is one that a probe could not delete.
func isProbe(id blob.ID) bool { return strings.HasPrefix(string(id), probePrefix) }
