package repository

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/maintenance"
	"github.com/minio/minio-go/v7"

	"holdfast"
	"holdfast/place"
)

// Locks is what is known of the locks on what a repository stores.
type Locks struct {
	Rule     ObjectLock // of the repository; zero: it locks nothing
	Kept     bool       // by the place
	Extended time.Time  // when maintenance extended all of them last; zero: not yet
	Until    time.Time  // the earliest end that is known
	Of       string     // the blob whose lock ends then; "": by the last extension
	Default  string     // what the bucket retains every blob for, whoever stores it; "" for nothing
}

// Locks looks at the locks of the repository with few requests: when they were
// extended, and some of them themselves.
func (r *Repository) Locks(ctx context.Context) (Locks, error) {
	rule := r.location.rule.Load()
	found := Locks{Rule: rule.by(), Kept: rule.locks()}
	if r.location.Scheme == place.S3 {
		by, err := RetainedByDefault(ctx, r.location.Place, By(r.location.access))
		if err != nil {
			return found, err
		}
		found.Default = by
	}
	if !found.Kept {
		return found, nil
	}
	began, err := r.extended(ctx, &found)
	if err != nil {
		return found, r.location.explain("read", err)
	}
	found.Until = began.Add(found.Rule.Period)
	return found, r.sample(ctx, &found)
}

// Rule is how the repository says that it locks; zero: it does not.
func (r *Repository) Rule() ObjectLock { return r.location.rule.Load().by() }

// RetainedByDefault is for how long a bucket retains every blob, whoever stores
// it; "" for a place without such a rule, or where nobody may look at it.
func RetainedByDefault(ctx context.Context, in place.Place, options ...Option) (string, error) {
	at, err := locate(in, options)
	if err != nil || in.Scheme != place.S3 {
		return "", err
	}
	var has bucketLock
	err = within(ctx, openTime, func(ctx context.Context) (err error) {
		has, err = at.bucketLock(ctx)
		return err
	})
	if statusOf(err) > 0 {
		return "", nil // a server that does not say has no such rule
	}
	return has.retains, err
}

// extended is when all locks began at the latest: with the last extension, or with
// the repository's rule.
func (r *Repository) extended(ctx context.Context, found *Locks) (time.Time, error) {
	schedule, err := maintenance.GetSchedule(ctx, r.direct())
	if err != nil {
		return time.Time{}, err
	}
	for _, run := range schedule.Runs[maintenance.TaskExtendBlobRetentionTimeFull] { // newest first
		if run.Success {
			found.Extended = run.Start
			return run.Start, nil
		}
	}
	m, err := r.storage().GetMetadata(ctx, format.KopiaBlobCfgBlobID)
	return m.Timestamp, err
}

// lockReaders read until when a blob is locked, zero for one that is not.
var lockReaders = map[place.Scheme]func(context.Context, entry) (func(context.Context, blob.ID) (time.Time, error), error){
	place.S3: s3Locks,
}

// s3Locks reads locks of a bucket of S3.
func s3Locks(ctx context.Context, at entry) (func(context.Context, blob.ID) (time.Time, error), error) {
	client, err := s3Client(ctx, at)
	return func(ctx context.Context, id blob.ID) (time.Time, error) {
		about, err := client.StatObject(ctx, at.Bucket, prefixOf(at.Place)+string(id), minio.StatObjectOptions{})
		text := about.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date")
		if err != nil || text == "" {
			return time.Time{}, err
		}
		return time.Parse(time.RFC3339, text)
	}, err
}

// sample looks at the locks of what opens the repository, and of some of its data.
func (r *Repository) sample(ctx context.Context, found *Locks) error {
	reader, ok := lockReaders[r.location.Scheme]
	if !ok {
		return nil
	}
	read, err := reader(ctx, r.location.entry())
	if err != nil {
		return err
	}
	some, err := someOf(ctx, r.storage())
	if err != nil {
		return r.location.explain("read", err)
	}
	for _, id := range append(some, format.KopiaRepositoryBlobID, format.KopiaBlobCfgBlobID) {
		until, err := read(ctx, id)
		if statusOf(err) == http.StatusNotFound {
			continue // maintenance has deleted it meanwhile
		}
		if err != nil {
			return refusal(fmt.Sprintf("read the lock of %s in %s", id, r.location), err)
		}
		if until.Before(found.Until) {
			found.Until, found.Of = until, string(id)
		}
	}
	return nil
}

// sampled is how many locks of data are looked at.
const sampled = 6

// someOf are a few blobs of data, others each time.
func someOf(ctx context.Context, st blob.Storage) ([]blob.ID, error) {
	const hex = "0123456789abcdef"
	prefix := blob.ID("p" + string(hex[rand.IntN(len(hex))])) //nolint:gosec // a sample
	list, err := page(ctx, st, prefix)
	if err == nil && len(list) == 0 {
		list, err = page(ctx, st, "p")
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(sampled, len(list))], err
}

// page are the first names that begin so, as many as a list of one request has.
func page(ctx context.Context, st blob.Storage, prefix blob.ID) (list []blob.ID, err error) {
	enough := errors.New("enough")
	err = st.ListBlobs(ctx, prefix, func(m blob.Metadata) error {
		if list = append(list, m.BlobID); len(list) == 1000 {
			return enough
		}
		return nil
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return list, err
}

// Lock makes an existing repository lock what it stores, and locks what is stored
// already. It returns how many blobs it has locked. A weaker rule than the one
// there is refused unless weaken is set: it holds for what is stored from then on.
func (r *Repository) Lock(ctx context.Context, by ObjectLock, weaken bool) (int, error) {
	l := r.location
	l.lockFor = by
	if err := l.lockable(ctx); err != nil {
		return 0, err
	}
	if err := r.writable(); err != nil {
		return 0, err
	}
	old := r.location.rule.Load().by()
	if weaker := by.Period < old.Period || by.Mode == Governance && old.Mode == Compliance; weaker && !weaken {
		return 0, &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("repository %s locks by %s for %v, which is more", l, old.Mode, old.Period),
			Why:   "What is stored from then on could be deleted sooner.",
			Do:    "If that is wanted: `holdfast repository lock MODE:PERIOD --weaken`.",
		}
	}
	unlock, err := r.lock(ctx, maintenanceLock, r.Patience)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := r.setRule(ctx, by); err != nil {
		return 0, l.explain("write to", err)
	}
	if err := r.keepCopies(ctx); err != nil {
		return 0, err
	}
	return r.lockAll(ctx)
}

// setRule writes the rule into the repository, and lets maintenance extend locks.
func (r *Repository) setRule(ctx context.Context, by ObjectLock) error {
	_, w, err := r.direct().NewDirectWriter(ctx, repo.WriteSessionOptions{Purpose: "lock"})
	if err != nil {
		return err
	}
	defer func() { _ = w.Close(context.WithoutCancel(ctx)) }()
	formats := w.FormatManager()
	parameters, err := formats.GetMutableParameters(ctx)
	if err != nil {
		return err
	}
	features, err := formats.RequiredFeatures(ctx)
	if err != nil {
		return err
	}
	upkeep, err := maintenance.GetParams(ctx, w)
	if err != nil {
		return err
	}
	rule := by.says()
	if err := formats.SetParameters(ctx, parameters, rule, features); err != nil {
		return err
	}
	r.location.rule.Store(&lockRule{BlobStorageConfiguration: rule})
	upkeep.ExtendObjectLocks = true
	if err := maintenance.SetParams(ctx, w, upkeep); err != nil {
		return err
	}
	return w.Flush(ctx)
}

// lockAll locks everything that is stored, for the whole period.
func (r *Repository) lockAll(ctx context.Context) (int, error) {
	var list []blob.Metadata
	for _, prefix := range append(repo.GetLockingStoragePrefixes(), copyPrefix) {
		found, err := blob.ListAllBlobs(ctx, r.storage(), prefix)
		if err != nil {
			return 0, r.location.explain("read", err)
		}
		list = append(list, found...)
	}
	err := extendAll(ctx, r.storage(), r.location.rule.Load(), list)
	return len(list), r.location.explain("write to", err)
}
