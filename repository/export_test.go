package repository

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/snapshot"

	"holdfast"
	"holdfast/place"
)

// Singly is how many packs a place is asked about before it lists them.
const Singly = singly

// SetCheckpoint makes the sessions of this process write their index after so
// many bytes.
func SetCheckpoint(bytes int64) (undo func()) {
	old := checkpointBytes
	checkpointBytes = bytes
	return func() { checkpointBytes = old }
}

// SetPatience sets how long requests to a failing storage are repeated, and
// returns the previous value.
func SetPatience(d time.Duration) time.Duration {
	old := patience
	patience = d
	return old
}

// SetSlowest sets how many bytes a second a place has to give, for what is opened
// after it.
func SetSlowest(bytes int64) (undo func()) {
	old := slowest
	slowest = bytes
	return func() { slowest = old }
}

// DamageList flips a bit in every piece of the list of sets.
func (i *Inspection) DamageList(ctx context.Context, flip func(blob string, at int64)) error {
	list, err := i.pieces(ctx, func(c content.Info) bool { return c.ContentID.Prefix() == manifest.ContentPrefix })
	for _, c := range list {
		flip(string(c.PackBlobID), int64(c.PackOffset)+int64(c.PackedLength)/2)
	}
	return err
}

// Vanish removes a set as another program would, without a note.
func (r *Repository) Vanish(ctx context.Context, id holdfast.SetID) error {
	return r.write(ctx, "remove", func(ctx context.Context, s *Session) error {
		_, err := s.remove(ctx, map[string]string{
			manifest.TypeLabelKey: snapshot.ManifestType,
			"tag:set":             string(id),
		})
		return err
	})
}

// SetKeyDerivation says how new repositories make their key from the password,
// and returns how they did.
func SetKeyDerivation(algorithm string) string {
	old := keyDerivation
	keyDerivation = algorithm
	return old
}

// SetNow gives the repositories that this process opens another clock.
func SetNow(clock func() time.Time) (undo func()) {
	old := now
	now = clock
	return func() { now = old }
}

// HasBackend reports whether a repository can be in such a place.
func HasBackend(scheme place.Scheme) bool { return backends[scheme] != nil }

// HoldsCopies reports whether a place can hold copies of what opens a
// repository.
func HoldsCopies(scheme place.Scheme) bool { return copyStores[scheme] != nil }

// SetStorage puts something between the repositories that this process opens and
// their storages.
func SetStorage(wrap func(place.Place, blob.Storage) blob.Storage) (undo func()) {
	old := maps.Clone(backends)
	for scheme, kind := range old {
		backends[scheme] = func(l location) backend { return wrappedBackend{kind(l), l.Place, wrap} }
	}
	return func() { backends = old }
}

type wrappedBackend struct {
	backend
	at   place.Place
	wrap func(place.Place, blob.Storage) blob.Storage
}

func (s wrappedBackend) storage(ctx context.Context, create bool) (blob.Storage, error) {
	st, err := s.backend.storage(ctx, create)
	if err != nil {
		return nil, err
	}
	return s.wrap(s.at, st), nil
}

// Storage is that of a repository.
func Storage(ctx context.Context, at place.Place, options ...Option) (blob.Storage, error) {
	return storageOf(ctx, at, false, options)
}

// MakeStorage is that of a repository that is not there yet.
func MakeStorage(ctx context.Context, at place.Place, options ...Option) (blob.Storage, error) {
	return storageOf(ctx, at, true, options)
}

func storageOf(ctx context.Context, at place.Place, create bool, options []Option) (blob.Storage, error) {
	l, err := locate(at, options)
	if err != nil {
		return nil, err
	}
	return l.storage(ctx, create)
}

// Buffer gets what is read of a blob.
type Buffer = raw

// SetLease says how often a run renews its blob, when one that does not is
// dead, and what a full maintenance does not wait for.
func SetLease(every, dead, grace time.Duration) (undo func()) {
	a, b, c := leaseEvery, leaseDead, runGrace
	leaseEvery, leaseDead, runGrace = every, dead, grace
	return func() { leaseEvery, leaseDead, runGrace = a, b, c }
}

// HoldMaintenance takes the lock of maintenance.
func (r *Repository) HoldMaintenance(ctx context.Context) (func(), error) {
	return r.lock(ctx, maintenanceLock, 0)
}

// HoldHistory takes the lock under which sets are dropped.
func (r *Repository) HoldHistory(ctx context.Context) (func(), error) {
	return r.lock(ctx, historyLock, 0)
}

// SetLock says how often the holder of a lock in a bucket renews it, and when
// one that does not is dead.
func SetLock(every, dead time.Duration) (undo func()) {
	a, b := lockEvery, lockDead
	lockEvery, lockDead = every, dead
	return func() { lockEvery, lockDead = a, b }
}

// SetTimes says how long a place outside of this machine may take to open, and
// to answer. A repository has the times of when it was opened.
func SetTimes(open, quiet time.Duration) (undo func()) {
	a, b, c := openTime, quietTime, slowest
	openTime, quietTime, slowest = open, quiet, 64<<20
	return func() { openTime, quietTime, slowest = a, b, c }
}

// SetAzureLogin says what stands in for Microsoft's login.
func SetAzureLogin(login policy.Transporter) (undo func()) {
	before := azureLogin
	azureLogin = login
	return func() { azureLogin = before }
}

// Explain is what a repository says of an error.
func Explain(r *Repository, doing string, err error) error { return r.location.explain(doing, err) }

// ChangeByKopia does what the kopia command "change-password" does.
func (r *Repository) ChangeByKopia(ctx context.Context, password string) error {
	return r.direct().FormatManager().ChangePassword(ctx, password)
}

// Grant is a permission, and the policy that has it.
type Grant struct{ Permission, Policy string }

// Grants are those that a probe may name.
func Grants() (list []Grant) {
	for _, rights := range grants {
		for _, g := range rights {
			list = append(list, Grant{g.permission, g.policy})
		}
	}
	return list
}

// Text is a short text as a blob.
func Text(text string) blob.Bytes { return note(text) }

// SetYoung says which blobs an extension of locks may pass over.
func SetYoung(age time.Duration) (undo func()) {
	old := extendYoung
	extendYoung = age
	return func() { extendYoung = old }
}

// Keeping is a storage that keeps the rule of a repository.
func Keeping(st blob.Storage, by ObjectLock) blob.Storage {
	rule := &atomic.Pointer[lockRule]{}
	rule.Store(&lockRule{BlobStorageConfiguration: by.says()})
	return keeping{st, rule}
}

// SetExtendPause says how long an extension that was refused waits for its next try.
func SetExtendPause(pause time.Duration) (undo func()) {
	old := extendPause
	extendPause = pause
	return func() { extendPause = old }
}

// SetCopyCheckpoint says how many bytes are sent to a copy before its index is
// written.
func SetCopyCheckpoint(bytes int64) (undo func()) {
	old := copyCheckpoint
	copyCheckpoint = bytes
	return func() { copyCheckpoint = old }
}

// Patient is a storage whose requests have deadlines, and that hands bytes on as they
// come.
func Patient(st blob.Storage, quiet time.Duration, slowest int64) blob.Storage {
	return patient{Storage: st, quiet: quiet, slowest: slowest, streams: true}
}

// Renewing is a storage that is opened again for other keys.
func Renewing(
	ctx context.Context, keys aws.CredentialsProvider,
	open func(context.Context, aws.Credentials) (blob.Storage, error),
) (blob.Storage, error) {
	return renewing(ctx, keys, open)
}

// Early is how long before their end keys are replaced.
const Early = early
