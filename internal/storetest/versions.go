package storetest

import (
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
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
