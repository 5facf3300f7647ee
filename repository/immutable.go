package repository

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"holdfast"
	"holdfast/place"
	"holdfast/record"
)

// Immutability tries, with the credentials of the node, what an attacker would
// try: on a blob of its own that it locks for a day, and on the settings of the
// bucket, which it sets to what they are. Only buckets of S3 are tried. The blob is
// locked in the mode of Locked, or else of Governance, which permits most.
func Immutability(ctx context.Context, in place.Place, options ...Option) ([]record.Attack, error) {
	at, err := locate(in, options)
	if err != nil {
		return nil, err
	}
	if in.Scheme != place.S3 {
		return nil, &holdfast.Problem{
			Class: holdfast.Undetermined,
			What:  fmt.Sprintf("the immutability of %s cannot be tried", in),
			Why:   "Holdfast knows how to attack buckets of S3 only.",
			Do:    "Look at the retention of the bucket or container yourself: docs/places.md.",
		}
	}
	var list []record.Attack
	err = within(ctx, 4*openTime, func(ctx context.Context) error {
		a, err := prepare(ctx, at)
		if err != nil {
			return err
		}
		list = a.all(ctx)
		return nil
	})
	if err != nil {
		return nil, refusal("attack "+in.String(), err)
	}
	return list, nil
}

// attacker has the node's credentials, and a locked blob to try them on.
type attacker struct {
	client       *minio.Client
	bucket, name string
	version      string
	mode         minio.RetentionMode
	until        time.Time
	versions     minio.BucketVersioningConfiguration
}

const attackText = "Holdfast has tried to delete this. It is locked for a day.\n"

// prepare stores a blob under a lock that the node may set.
func prepare(ctx context.Context, at location) (*attacker, error) {
	client, err := s3Client(ctx, at.entry())
	if err != nil {
		return nil, err
	}
	if err := at.bucketLocks(ctx); err != nil {
		return nil, err
	}
	a := &attacker{
		client: client,
		bucket: at.Bucket,
		name:   prefixOf(at.Place) + string(probeName()),
		mode:   minio.RetentionMode(cmp.Or(at.lockFor.Mode, Governance)),
		until:  now().Add(24 * time.Hour).UTC().Truncate(time.Second),
	}
	if a.versions, err = client.GetBucketVersioning(ctx, at.Bucket); err != nil {
		return nil, err
	}
	stored, err := a.put(ctx, attackText, minio.PutObjectOptions{Mode: a.mode, RetainUntilDate: a.until})
	a.version = stored.VersionID
	return a, err
}

// bucketLocks refuses a bucket of S3 without object lock.
func (l location) bucketLocks(ctx context.Context) error {
	if l.Scheme != place.S3 {
		return nil
	}
	has, err := l.bucketLock(ctx)
	if err != nil || has.enabled {
		return err
	}
	return &holdfast.Problem{
		Class: holdfast.Violation,
		What:  "bucket " + l.Bucket + " has no object lock",
		Why:   "Whoever has credentials to delete there can delete every set.",
		Do: "Make a bucket with object lock, which cannot be added later everywhere: " +
			"`aws s3api create-bucket --object-lock-enabled-for-bucket`.",
	}
}

// bucketLock is the object lock of a bucket of S3.
type bucketLock struct {
	enabled bool
	retains string // every blob by default, such as "COMPLIANCE for 30 days"; "" for none
}

func (l location) bucketLock(ctx context.Context) (bucketLock, error) {
	client, err := s3Client(ctx, l.entry())
	if err != nil {
		return bucketLock{}, err
	}
	enabled, mode, validity, unit, err := client.GetObjectLockConfig(ctx, l.Bucket)
	if minio.ToErrorResponse(err).Code == "ObjectLockConfigurationNotFoundError" {
		return bucketLock{}, nil
	}
	if err != nil {
		return bucketLock{}, refusal("look at the object lock of "+l.String(), err)
	}
	has := bucketLock{enabled: enabled == "Enabled"}
	if mode != nil && validity != nil && unit != nil && *validity > 0 {
		has.retains = fmt.Sprintf("%s for %d %s", *mode, *validity, strings.ToLower(string(*unit)))
	}
	return has, nil
}

func (a *attacker) put(ctx context.Context, text string, o minio.PutObjectOptions) (minio.UploadInfo, error) {
	o.DisableMultipart, o.SendContentMd5 = true, true
	return a.client.PutObject(ctx, a.bucket, a.name, bytes.NewReader([]byte(text)), int64(len(text)), o)
}

// all tries everything, the harmless first, and looks after each whether the
// blob is still what it was.
func (a *attacker) all(ctx context.Context) []record.Attack {
	earlier := now().Add(time.Minute).UTC().Truncate(time.Second)
	governance := minio.Governance
	shorten := minio.PutObjectRetentionOptions{
		VersionID:       a.version,
		Mode:            &governance,
		RetainUntilDate: &earlier,
	}
	bypass := shorten
	bypass.GovernanceBypass = true
	remove := minio.RemoveObjectOptions{VersionID: a.version}
	removeBypassing := remove
	removeBypassing.GovernanceBypass = true
	var list []record.Attack
	for _, attack := range []struct {
		name string
		try  func() error // nil: it was let through
	}{
		{"shorten the lock", func() error { return a.client.PutObjectRetention(ctx, a.bucket, a.name, shorten) }},
		{"shorten it past governance", func() error { return a.client.PutObjectRetention(ctx, a.bucket, a.name, bypass) }},
		{"stop keeping versions", func() error { return a.suspend(ctx) }},
		{"let the bucket expire what it holds", func() error { return a.expire(ctx) }},
	} {
		list = append(list, letThrough(attack.name, attack.try()))
	}
	_, overwritten := a.put(ctx, "forged", minio.PutObjectOptions{})
	list = append(list, a.survived(ctx, "replace the blob", overwritten))
	hidden := a.client.RemoveObject(ctx, a.bucket, a.name, minio.RemoveObjectOptions{})
	list = append(list, a.survived(ctx, "delete the blob", hidden))
	list = append(list, a.survived(ctx, "delete its version", a.client.RemoveObject(ctx, a.bucket, a.name, remove)))
	return append(list, a.survived(ctx, "delete its version past governance",
		a.client.RemoveObject(ctx, a.bucket, a.name, removeBypassing)))
}

// tried is one attack, and what came of it.
func tried(name string, verdict holdfast.Verdict, found string) record.Attack {
	return record.Attack{Attack: name, Verdict: verdict, Found: found}
}

// letThrough judges an attack that has to be refused.
func letThrough(name string, err error) record.Attack {
	var stays notUndone
	switch {
	case err == nil:
		return tried(name, holdfast.Violated, "the node may do it")
	case errors.As(err, &stays):
		return tried(name, holdfast.Violated, "the node may do it; taking it back failed: "+stays.Error())
	case statusOf(err) == http.StatusNotImplemented:
		return tried(name, holdfast.Holds, "the server cannot do that")
	case understood(err):
		return tried(name, holdfast.Holds, "refused")
	}
	return tried(name, holdfast.CannotTell, err.Error())
}

// understood reports whether a server has answered that it will not do
// something, and not that it failed. Servers refuse with several statuses.
func understood(err error) bool {
	status := statusOf(err)
	return status >= 400 && status < 500
}

// survived judges an attack by what is left: the version that was locked.
func (a *attacker) survived(ctx context.Context, name string, err error) record.Attack {
	text, lost := a.read(ctx)
	switch {
	case statusOf(lost) == http.StatusNotFound:
		return tried(name, holdfast.Violated, "the locked version is gone")
	case lost != nil:
		return tried(name, holdfast.CannotTell, lost.Error())
	case text != attackText:
		return tried(name, holdfast.Violated, "the locked version is another")
	case err == nil:
		return tried(name, holdfast.Holds, "the locked version is still there")
	}
	return tried(name, holdfast.Holds, "refused")
}

// read reads the version that was locked.
func (a *attacker) read(ctx context.Context) (string, error) {
	got, err := a.client.GetObject(ctx, a.bucket, a.name, minio.GetObjectOptions{VersionID: a.version})
	if err != nil {
		return "", err
	}
	defer func() { _ = got.Close() }()
	text, err := io.ReadAll(got)
	return string(text), err
}

// suspend switches versioning off, and on again if that was let through.
func (a *attacker) suspend(ctx context.Context) error {
	if err := a.client.SuspendVersioning(ctx, a.bucket); err != nil {
		return err
	}
	if !a.versions.Enabled() {
		return nil
	}
	return undone(a.client.EnableVersioning(context.WithoutCancel(ctx), a.bucket))
}

// expire sets the rules by which the bucket deletes: to those it has, or to one
// that names nothing and is switched off.
func (a *attacker) expire(ctx context.Context) error {
	rules, err := a.client.GetBucketLifecycle(ctx, a.bucket)
	if err == nil {
		return a.client.SetBucketLifecycle(ctx, a.bucket, rules)
	}
	if minio.ToErrorResponse(err).Code != "NoSuchLifecycleConfiguration" {
		return err // it may not even look at them, or there are none in this server
	}
	harmless := lifecycle.NewConfiguration()
	harmless.Rules = []lifecycle.Rule{{
		ID:         "holdfast-probe",
		Status:     "Disabled",
		RuleFilter: lifecycle.Filter{Prefix: a.name},
		Expiration: lifecycle.Expiration{Days: 3650},
	}}
	if err := a.client.SetBucketLifecycle(ctx, a.bucket, harmless); err != nil {
		return err
	}
	return undone(a.client.SetBucketLifecycle(context.WithoutCancel(ctx), a.bucket, lifecycle.NewConfiguration()))
}

// notUndone is the error of an attack that was let through, and stays.
type notUndone struct{ err error }

func (e notUndone) Error() string { return e.err.Error() }

// undone is the end of an attack that was let through and taken back.
func undone(err error) error {
	if err == nil {
		return nil
	}
	return notUndone{err}
}
