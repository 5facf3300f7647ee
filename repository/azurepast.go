package repository

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"holdfast"
)

// azurePast finds in a list of versions, which has those of a name one after the
// other, the one of each name that existed at a time. A version is named by the time
// of its write. Where a name has no current version, its last entry is named by the
// time of the deletion.
type azurePast struct {
	at time.Time
	fn func(*container.BlobItem) error

	name    string
	newest  *container.BlobItem // not after that time
	written time.Time
}

// look takes the next version of the list.
func (p *azurePast) look(b *container.BlobItem) error {
	if *b.Name != p.name {
		if err := p.end(); err != nil {
			return err
		}
		p.name = *b.Name
	}
	if b.VersionID == nil {
		return nil // it was written before versions were kept
	}
	written, err := time.Parse(time.RFC3339Nano, *b.VersionID)
	if err != nil {
		return err
	}
	if !written.After(p.at) && !written.Before(p.written) {
		p.newest, p.written = b, written
	}
	return nil
}

// end is called behind the last version of a name.
func (p *azurePast) end() error {
	found := p.newest
	p.newest, p.written = nil, time.Time{}
	if found == nil || found.HasVersionsOnly != nil && *found.HasVersionsOnly {
		return nil
	}
	return p.fn(found)
}

// azureKeepsPast refuses a container whose blobs have no versions: the account's
// setting is not told to those who read blobs.
func azureKeepsPast(ctx context.Context, at entry, client *container.Client) error {
	pages := client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
		Prefix:  to.Ptr(prefixOf(at.Place)),
		Include: container.ListBlobsInclude{Versions: true, DeletedWithVersions: true},
	})
	known := false
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, b := range page.Segment.BlobItems {
			if b.VersionID != nil {
				return nil
			}
			known = true
		}
		if known {
			break
		}
	}
	if !known {
		return nil // it is empty, which is found out by opening it
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  "container " + at.Bucket + " keeps no versions",
		Err:   errors.New("its blobs have no version IDs"),
		Why:   "What was deleted or replaced in it is gone.",
		Do:    "Leave --as-of out, or read a second copy: HOLDFAST_REPOSITORY_PATH=PLACE.",
	}
}
