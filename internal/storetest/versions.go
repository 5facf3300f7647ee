package storetest

import (
	"fmt"
	"io"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"holdfast/place"
	"holdfast/repository"
)

// S3Versions is a bucket of versitygw that keeps what is replaced or deleted.
func S3Versions(t testing.TB) Store {
	t.Helper()
	s := s3(t)
	if err := s3Client(t, s).EnableVersioning(t.Context(), s.Place.Bucket); err != nil {
		t.Fatal(err)
	}
	return s
}

// S3Locked is a bucket of versitygw with object lock.
func S3Locked(t testing.TB) Store {
	t.Helper()
	return locked(t, s3(t))
}

// locked makes a bucket with object lock, which it has from its first day.
func locked(t testing.TB, s Store) Store {
	t.Helper()
	s.Place.Bucket = "locked"
	err := s3Client(t, s).MakeBucket(t.Context(), s.Place.Bucket, minio.MakeBucketOptions{ObjectLocking: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// RetainByDefault gives a bucket a retention of its own, for every blob.
func RetainByDefault(t testing.TB, s Store) {
	t.Helper()
	mode, days, unit := minio.Governance, uint(1), minio.Days
	if err := s3Client(t, s).SetObjectLockConfig(t.Context(), s.Place.Bucket, &mode, &days, &unit); err != nil {
		t.Fatal(err)
	}
}

// LockedUntil is when the lock of each blob ends, by its name; zero: it has none.
func LockedUntil(t testing.TB, s Store) map[string]time.Time {
	t.Helper()
	client := s3Client(t, s)
	out := map[string]time.Time{}
	for o := range client.ListObjects(t.Context(), s.Place.Bucket, minio.ListObjectsOptions{
		Prefix:       s.Place.Path + "/",
		WithVersions: true,
		Recursive:    true,
	}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if !o.IsLatest || o.IsDeleteMarker {
			continue
		}
		about, err := client.StatObject(t.Context(), s.Place.Bucket, o.Key, minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		until, _ := time.Parse(time.RFC3339, about.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"))
		out[o.Key[len(s.Place.Path)+1:]] = until
	}
	return out
}

// MinIO is a bucket of MinIO with object lock: another server with real locks, and
// one that dates versions as S3 does.
func MinIO(t testing.TB) Store {
	t.Helper()
	address := loopback(t)
	s := serveWith(t, []string{"MINIO_ROOT_USER=" + keyID, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_UPDATE=off"}, address,
		program(t, "minio"), "server", "--quiet", "--address", address, "--console-address", loopback(t), t.TempDir())
	store := Store{
		Kind:   place.S3,
		Place:  parsed(t, fmt.Sprintf("s3://sets/holdfast?endpoint=%s&region=%s&tls=off", address, region)),
		Access: repository.Access{ID: secret(keyID), Secret: secret(SecretKey)},
		Server: s,
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // it listens before it serves
		_, err := s3Client(t, store).ListBuckets(t.Context())
		if err == nil {
			return locked(t, store)
		}
		if time.Now().After(until) {
			t.Fatalf("MinIO does not serve: %v", err)
		}
	}
}

// Version is one version of a blob.
type Version struct{ Name, ID string }

// OfAProcess reports whether the blob belongs to a process, and is not locked.
func (v Version) OfAProcess() bool {
	name := path.Base(v.Name)
	for _, prefix := range []string{"s", "holdfast-run-", "holdfast-lock-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Versions are all that a bucket has, with the bytes of each.
func Versions(t testing.TB, s Store) map[Version]string {
	t.Helper()
	client, out := s3Client(t, s), map[Version]string{}
	for o := range client.ListObjects(t.Context(), s.Place.Bucket, minio.ListObjectsOptions{
		Prefix: s.Place.Path + "/", WithVersions: true, Recursive: true,
	}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if o.IsDeleteMarker {
			continue
		}
		got, err := client.GetObject(t.Context(), s.Place.Bucket, o.Key, minio.GetObjectOptions{VersionID: o.VersionID})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got)
		_ = got.Close()
		if err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
		out[Version{o.Key, o.VersionID}] = string(text)
	}
	return out
}

// Wreck does to a bucket, with all rights, what an attacker would: it switches
// versions off, lets everything expire, and shortens, deletes, replaces and hides
// every version. Whatever is refused is.
func Wreck(t testing.TB, s Store, all map[Version]string) {
	t.Helper()
	ctx, client, bucket := t.Context(), s3Client(t, s), s.Place.Bucket
	if err := client.SuspendVersioning(ctx, bucket); err == nil {
		t.Error("versions of a bucket with locks can be switched off")
	}
	rules := lifecycle.NewConfiguration()
	rules.Rules = []lifecycle.Rule{{ID: "all", Status: "Enabled", Expiration: lifecycle.Expiration{Days: 1}}}
	_ = client.SetBucketLifecycle(ctx, bucket, rules)
	soon, mode := time.Now().Add(2*time.Second).UTC(), minio.Governance
	for v := range all {
		shorter := minio.PutObjectRetentionOptions{VersionID: v.ID, Mode: &mode, RetainUntilDate: &soon, GovernanceBypass: true}
		if err := client.PutObjectRetention(ctx, bucket, v.Name, shorter); err == nil && !v.OfAProcess() {
			t.Errorf("the lock of %s can be shortened", v.Name)
		}
		_ = client.RemoveObject(ctx, bucket, v.Name, minio.RemoveObjectOptions{VersionID: v.ID, GovernanceBypass: true})
		_, _ = client.PutObject(ctx, bucket, v.Name, strings.NewReader("forged"), 6, minio.PutObjectOptions{SendContentMd5: true})
		_ = client.RemoveObject(ctx, bucket, v.Name, minio.RemoveObjectOptions{})
	}
}

// DeleteAll deletes every blob of a bucket, as an attacker would who does not know
// that versions are kept, or may not delete them.
func DeleteAll(t testing.TB, s Store) {
	t.Helper()
	if s.Kind == place.GCS {
		deleteAllOfGCS(t, s)
		return
	}
	client := s3Client(t, s)
	for o := range client.ListObjects(t.Context(), s.Place.Bucket, minio.ListObjectsOptions{
		Prefix: s.Place.Path + "/", Recursive: true,
	}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if err := client.RemoveObject(t.Context(), s.Place.Bucket, o.Key, minio.RemoveObjectOptions{}); err != nil {
			t.Errorf("%s: %v", o.Key, err)
		}
	}
}
