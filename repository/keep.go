package repository

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"
	"golang.org/x/sync/errgroup"

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

// Locked makes a new repository, or a second copy of one, lock what it stores.
func Locked(by ObjectLock) Option { return func(l *location) { l.lockFor = by } }

// Extending makes CopyTo extend the locks of what the copy has already.
func Extending() Option { return func(l *location) { l.extend = true } }

// says is the rule as a repository says it.
func (by ObjectLock) says() format.BlobStorageConfiguration {
	return format.BlobStorageConfiguration{RetentionMode: blob.RetentionMode(by.Mode), RetentionPeriod: by.Period}
}

// lockable refuses a lock that cannot be kept.
func (l location) lockable(ctx context.Context) error {
	by := l.lockFor
	if by == (ObjectLock{}) {
		return nil
	}
	p := &holdfast.Problem{
		Class: holdfast.Usage,
		What:  fmt.Sprintf("repository %s: no object lock of %s for %v", l, by.Mode, by.Period),
		Do:    "Name a mode and a period, such as compliance:30d: `holdfast init --object-lock`, `holdfast repository lock`.",
	}
	switch {
	case by.Mode != Governance && by.Mode != Compliance:
		p.Why = "The modes are governance and compliance."
	case by.Period < shortestLock:
		p.Why = "Maintenance extends locks once a day. A period has to have at least 48 hours."
	case !locksObjects[l.Scheme]:
		p.Why = fmt.Sprintf("A place of %s:// locks nothing. Buckets of S3 and Google and containers of Azure do.", l.Scheme)
		p.Do = "Leave the lock out, or name a bucket: `holdfast init --repository s3://BUCKET/PREFIX`."
	default:
		return l.bucketLocks(ctx)
	}
	return p
}

// locksObjects are the kinds of places that may lock what is in them.
var locksObjects = map[place.Scheme]bool{place.S3: true, place.GCS: true, place.Azure: true}

// lockRule is what a repository says of locks.
type lockRule struct {
	format.BlobStorageConfiguration

	unkept bool // by a place that locks nothing, such as that of a second copy
}

// locks reports whether what is stored is locked.
func (r *lockRule) locks() bool { return r != nil && r.IsRetentionEnabled() && !r.unkept }

// by is the rule as it is named.
func (r *lockRule) by() ObjectLock {
	if r == nil || !r.IsRetentionEnabled() {
		return ObjectLock{}
	}
	return ObjectLock{Mode: string(r.RetentionMode), Period: r.RetentionPeriod}
}

// extension locks a blob for the whole period from now.
func (r *lockRule) extension() blob.ExtendOptions {
	return blob.ExtendOptions{RetentionMode: r.RetentionMode, RetentionPeriod: r.RetentionPeriod}
}

// readRule reads what the repository says of locks, and finds out whether its
// place keeps them.
func (r *Repository) readRule(ctx context.Context) error {
	says, err := r.direct().FormatManager().BlobCfgBlob(ctx)
	if !says.IsRetentionEnabled() && r.location.lockFor != (ObjectLock{}) {
		says = r.location.lockFor.says() // a second copy that is locked by itself
	}
	if err == nil {
		r.location.rule.Store(r.location.follow(ctx, says))
	}
	return err
}

// follow is the rule of a repository in this place.
func (l location) follow(ctx context.Context, says format.BlobStorageConfiguration) *lockRule {
	rule := &lockRule{BlobStorageConfiguration: says}
	rule.unkept = says.IsRetentionEnabled() && !l.keepsLocks(ctx)
	return rule
}

// keepsLocks reports whether the place locks what it is asked to. Of a bucket that
// does not say so it is assumed.
func (l location) keepsLocks(ctx context.Context) bool {
	if !locksObjects[l.Scheme] {
		return false
	}
	err := within(ctx, l.access.within(openTime), l.bucketLocks)
	return holdfast.ClassOf(err) != holdfast.Violation
}

// keeping is a storage that locks what kopia leaves unlocked: it locks data,
// indexes and the key, but not the copies of the key, nor what says when
// maintenance is due. Markers, leases and locks belong to processes and end with
// them. In a place that locks nothing it lets the rule of the repository be.
type keeping struct {
	blob.Storage
	rule *atomic.Pointer[lockRule] // nil until the repository is open
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
	switch rule := s.rule.Load(); {
	case rule != nil && rule.unkept:
		o.RetentionMode, o.RetentionPeriod = "", 0
	case rule.locks() && !o.HasRetentionOptions() && !passing(id):
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
	if rule := s.rule.Load(); rule != nil && rule.unkept {
		return nil
	}
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

// extendOurs extends the locks of what kopia's full maintenance leaves out.
func (r *Repository) extendOurs(ctx context.Context) error {
	rule := r.location.rule.Load()
	if !rule.locks() {
		return nil
	}
	ours, err := blob.ListAllBlobs(ctx, r.storage(), copyPrefix)
	if err != nil {
		return err
	}
	return extendAll(ctx, r.storage(), rule, ours)
}

// extendAll extends the locks of blobs, several at a time.
func extendAll(ctx context.Context, st blob.Storage, rule *lockRule, list []blob.Metadata) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copyLanes)
	for _, m := range list {
		g.Go(func() error { return st.ExtendBlobRetention(ctx, m.BlobID, rule.extension()) })
	}
	return g.Wait()
}
