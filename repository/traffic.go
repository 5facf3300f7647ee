package repository

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/kopia/kopia/repo/blob"
)

// Traffic is what went between this process and a place outside of the machine, as
// a bucket charges for it. Repetitions of a request that failed are one with it.
type Traffic struct {
	Writes   int64 `json:"writes"`   // requests that store, or lock for longer
	Reads    int64 `json:"reads"`    // requests for a blob, a part of one, or what is known of it
	Lists    int64 `json:"lists"`    // requests for names, a thousand each
	Deletes  int64 `json:"deletes"`  // requests that delete
	Sent     int64 `json:"sent"`     // bytes of blobs
	Received int64 `json:"received"` // bytes of blobs
}

// Plus adds up two counts.
func (t Traffic) Plus(o Traffic) Traffic {
	return Traffic{
		Writes: t.Writes + o.Writes, Reads: t.Reads + o.Reads, Lists: t.Lists + o.Lists, Deletes: t.Deletes + o.Deletes,
		Sent: t.Sent + o.Sent, Received: t.Received + o.Received,
	}
}

// Cost is what the requests cost at those prices.
func (t Traffic) Cost(write, read float64) float64 {
	return float64(t.Writes+t.Lists)*write + float64(t.Reads)*read
}

// TrafficCounted is an event of closing a repository outside of the machine: what
// it cost in requests and bytes.
type TrafficCounted struct {
	Repository string
	Traffic
}

func (e TrafficCounted) String() string {
	return fmt.Sprintf("repository %s: %d requests wrote or listed, %d read, %d deleted; %d bytes sent, %d received",
		e.Repository, e.Writes+e.Lists, e.Reads, e.Deletes, e.Sent, e.Received)
}

// Traffic is what went to and from the place since the repository was opened. Of a
// directory nothing is counted.
func (r *Repository) Traffic() Traffic { return r.location.meter.read() }

// meter counts traffic.
type meter struct{ writes, reads, lists, deletes, sent, received atomic.Int64 }

func (m *meter) read() Traffic {
	return Traffic{m.writes.Load(), m.reads.Load(), m.lists.Load(), m.deletes.Load(), m.sent.Load(), m.received.Load()}
}

// metered is a storage whose requests are counted.
type metered struct {
	blob.Storage
	meter *meter
}

// GetBlob implements blob.Reader.
func (s metered) GetBlob(ctx context.Context, id blob.ID, offset, length int64, out blob.OutputBuffer) error {
	s.meter.reads.Add(1)
	err := s.Storage.GetBlob(ctx, id, offset, length, out)
	if err == nil {
		s.meter.received.Add(int64(out.Length()))
	}
	return err
}

// GetMetadata implements blob.Reader.
func (s metered) GetMetadata(ctx context.Context, id blob.ID) (blob.Metadata, error) {
	s.meter.reads.Add(1)
	return s.Storage.GetMetadata(ctx, id)
}

// namesInList is how many names one request for names gives.
const namesInList = 1000

// ListBlobs implements blob.Reader.
func (s metered) ListBlobs(ctx context.Context, prefix blob.ID, each func(blob.Metadata) error) error {
	s.meter.lists.Add(1)
	n := 0
	return s.Storage.ListBlobs(ctx, prefix, func(m blob.Metadata) error {
		if n++; n%namesInList == 0 {
			s.meter.lists.Add(1)
		}
		return each(m)
	})
}

// PutBlob implements blob.Storage.
func (s metered) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	s.meter.writes.Add(1)
	s.meter.sent.Add(int64(data.Length()))
	if o.GetModTime != nil {
		s.meter.reads.Add(1) // most places are asked for it
	}
	return s.Storage.PutBlob(ctx, id, data, o)
}

// DeleteBlob implements blob.Storage.
func (s metered) DeleteBlob(ctx context.Context, id blob.ID) error {
	s.meter.deletes.Add(1)
	return s.Storage.DeleteBlob(ctx, id)
}

// ExtendBlobRetention implements blob.Storage.
func (s metered) ExtendBlobRetention(ctx context.Context, id blob.ID, o blob.ExtendOptions) error {
	s.meter.writes.Add(1)
	return s.Storage.ExtendBlobRetention(ctx, id, o)
}
