package repository

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kopia/kopia/repo/blob"

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
// of its own, which nothing repeats, within seconds. Only a blob that may not be
// deleted is left there. The error is that of a place that does not answer, or
// lets nobody in. Directories, here or on another machine, are not probed: they
// say what is wrong when they are opened.
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
		tried, err = probe(ctx, st)
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

// probers open the storages by which places are probed. kopia's own of S3 tries
// ten times what was refused, so that is not it.
var probers = map[place.Scheme]opener{
	place.S3:    openRawS3,
	place.GCS:   openRawGCS,
	place.Azure: openAzure,
}

// probe tries the rights one after the other, as far as they do not build on one
// that was refused. Its error is that of a storage that does not serve at all.
func probe(ctx context.Context, st blob.Storage) ([]Tried, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	id := blob.ID(probePrefix + hex.EncodeToString(random[:]))
	put := func(text note) func() error {
		return func() error { return st.PutBlob(ctx, id, text, blob.PutOptions{}) }
	}
	var tried []Tried
	for _, step := range []struct {
		right Right
		try   func() error
	}{
		{ToList, func() error { return st.ListBlobs(ctx, probePrefix, func(blob.Metadata) error { return nil }) }},
		{ToWrite, put(probeText)},
		{ToRead, func() error { return readsBack(ctx, st, id, probeText) }},
		{ToOverwrite, func() error { return errors.Join(put(probeChanged)(), readsBack(ctx, st, id, probeChanged)) }},
		{ToDelete, func() error { return st.DeleteBlob(ctx, id) }},
	} {
		err := step.try()
		if err != nil && !refused(err) {
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

// missing says which permission is missing, and where it stands.
func (l location) missing(t Tried) error {
	p := &holdfast.Problem{
		Class: holdfast.Failed,
		What:  fmt.Sprintf("repository %s: it refuses to %s", l, t.Right),
		Err:   t.Err,
		Why:   fmt.Sprintf("A node that may not %s there cannot store sets.", t.Right),
		Do:    "Grant it. To try again: `holdfast config check --live`.",
	}
	if g, ok := grants[l.Scheme][t.Right]; ok {
		p.Do = fmt.Sprintf("Grant %s, as in %s. To try again: `holdfast config check --live`.", g.permission, g.policy)
	}
	return p
}

// grant is what permits something, and the file of this project that grants it.
type grant struct{ permission, policy string }

// The policies of nodes, and what Azure's permissions begin with.
const (
	s3Policy     = "docs/policies/s3-node.json"
	gcsPolicy    = "docs/policies/gcs-node.yaml"
	gcsMarkers   = "docs/policies/gcs-node-markers.yaml"
	azurePolicy  = "docs/policies/azure-node.json"
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
	},
	place.GCS: {
		ToList:      {"storage.objects.list", gcsPolicy},
		ToWrite:     {"storage.objects.create", gcsPolicy},
		ToRead:      {"storage.objects.get", gcsPolicy},
		ToOverwrite: {"storage.objects.delete", gcsMarkers},
		ToDelete:    {"storage.objects.delete", gcsMarkers},
	},
	place.Azure: {
		ToList:      {blobsOfAzure + "read", azurePolicy},
		ToWrite:     {blobsOfAzure + "write", azurePolicy},
		ToRead:      {blobsOfAzure + "read", azurePolicy},
		ToOverwrite: {blobsOfAzure + "write", azurePolicy},
		ToDelete:    {blobsOfAzure + "delete", azurePolicy},
	},
}

// isProbe reports whether a blob is one that a probe could not delete.
func isProbe(id blob.ID) bool { return strings.HasPrefix(string(id), probePrefix) }
