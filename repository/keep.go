package repository

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"

	"holdfast"
	"holdfast/place"
)

// ObjectLock is how long the place keeps each blob from being deleted or
// replaced, whoever asks. Maintenance extends it for what sets hold.
type ObjectLock struct {
	Mode   string // Governance or Compliance; Google and Azure know only the latter
	Period time.Duration
}

// The modes of object locks: some may shorten one of Governance, nobody one of
// Compliance.
const (
	Governance = string(blob.Governance)
	Compliance = string(blob.Compliance)
)

// shortestLock leaves time for a full maintenance, which comes once a day, to
// fail once.
const shortestLock = 48 * time.Hour

// Locked makes a new repository lock what it stores.
func Locked(by ObjectLock) Option { return func(l *location) { l.lockFor = by } }

// lockable refuses a lock that cannot be kept.
func (l location) lockable(ctx context.Context) error {
	by := l.lockFor
	if by == (ObjectLock{}) {
		return nil
	}
	p := &holdfast.Problem{
		Class: holdfast.Usage,
		What:  fmt.Sprintf("create repository %s: no object lock of %s for %v", l, by.Mode, by.Period),
		Do:    "Name a mode and a period: `holdfast init --object-lock compliance:30d`.",
	}
	switch {
	case by.Mode != Governance && by.Mode != Compliance:
		p.Why = "The modes are governance and compliance."
	case by.Period < shortestLock:
		p.Why = "Maintenance extends locks once a day. A period has to have at least 48 hours."
	case !locksObjects[l.Scheme]:
		p.Why = fmt.Sprintf("A place of %s:// locks nothing. Buckets of S3 and Google and containers of Azure do.", l.Scheme)
		p.Do = "Leave --object-lock out, or name a bucket."
	default:
		return l.bucketLocks(ctx)
	}
	return p
}

// locksObjects are the kinds of places that may lock what is in them.
var locksObjects = map[place.Scheme]bool{place.S3: true, place.GCS: true, place.Azure: true}

// keeping is a storage that locks what kopia leaves unlocked: it locks data,
// indexes and the key, but not the copies of the key, nor what says when
// maintenance is due. Markers, leases and locks belong to processes and end with
// them.
type keeping struct {
	blob.Storage
	rule *atomic.Pointer[format.BlobStorageConfiguration] // nil until the repository is open
}

// passing reports whether a blob belongs to a process.
func passing(id blob.ID) bool {
	for _, prefix := range []string{"s", "_log", leasePrefix, lockPrefix} {
		if strings.HasPrefix(string(id), prefix) {
			return true
		}
	}
	return false
}

// PutBlob implements blob.Storage.
func (s keeping) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	rule := s.rule.Load()
	if rule != nil && rule.IsRetentionEnabled() && !o.HasRetentionOptions() && !passing(id) {
		o.RetentionMode, o.RetentionPeriod = rule.RetentionMode, rule.RetentionPeriod
	}
	return s.Storage.PutBlob(ctx, id, data, o)
}

// DeleteBlob implements blob.Storage. A marker of a session that the bucket keeps
// for a while, whoever deletes it, is no reason to lose the session.
func (s keeping) DeleteBlob(ctx context.Context, id blob.ID) error {
	err := s.Storage.DeleteBlob(ctx, id)
	if strings.HasPrefix(string(id), "s") && refused(err) {
		return nil
	}
	return err
}

// How an extension that was refused is repeated.
var (
	extendTries = 3
	extendPause = 2 * time.Second
	extendYoung = 24 * time.Hour // a younger blob was just locked for nearly the whole period
)

// ExtendBlobRetention implements blob.Storage. Some stores refuse to extend the
// lock of a blob that was just stored. It waits for the next maintenance.
func (s keeping) ExtendBlobRetention(ctx context.Context, id blob.ID, o blob.ExtendOptions) error {
	var err error
	for try := range extendTries {
		if err = s.Storage.ExtendBlobRetention(ctx, id, o); err == nil {
			return nil
		}
		m, unknown := s.GetMetadata(ctx, id)
		if unknown == nil && now().Sub(m.Timestamp) < extendYoung {
			return nil
		}
		if try == extendTries-1 {
			break
		}
		select {
		case <-time.After(extendPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// extendCopies extends the locks of the copies of the key, as kopia's full
// maintenance does for its own blobs.
func (r *Repository) extendCopies(ctx context.Context) error {
	rule := r.location.rule.Load()
	if !rule.IsRetentionEnabled() {
		return nil
	}
	st := r.storage()
	copies, err := blob.ListAllBlobs(ctx, st, copyPrefix)
	for _, m := range copies {
		o := blob.ExtendOptions{RetentionMode: rule.RetentionMode, RetentionPeriod: rule.RetentionPeriod}
		if err == nil {
			err = st.ExtendBlobRetention(ctx, m.BlobID, o)
		}
	}
	return err
}
