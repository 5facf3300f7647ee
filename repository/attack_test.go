package repository_test

import (
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/internal/storetest"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
)

// Somebody has the bucket owner's credentials and the password. They drop every
// set and maintain, forge sets, and then attack the bucket itself. Every version
// that was locked is still there, byte for byte. On a server that dates versions
// as S3 does the sets of before are read as they were; versitygw does not.
func TestAnAttackOnEverything(t *testing.T) {
	servers := map[string]func(testing.TB) storetest.Store{"versitygw": storetest.S3Locked}
	if splicetest.Long() {
		servers["minio"] = storetest.MinIO
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) { attacked(t, start(t), name == "minio") })
	}
}

func attacked(t *testing.T, s storetest.Store, dated bool) {
	by := repository.By(s.Access)
	lock := repository.Locked(repository.ObjectLock{Mode: repository.Compliance, Period: month})
	if err := repository.Create(t.Context(), s.Place, holdfast.NewSecret(password), by, lock); err != nil {
		t.Fatal(err)
	}
	first, second := random(11, 2<<20), random(12, 2<<20)
	r := open(t, s.Place, by)
	one, two := storeRows(t, r, 1, first), storeRows(t, r, 2, second)
	good := storetest.Versions(t, s)
	time.Sleep(1100 * time.Millisecond) // S3 says when to the second
	before := time.Now()
	time.Sleep(1100 * time.Millisecond)

	for hour := 3; hour < 6; hour++ { // forged ones, to push the good ones out
		storeRows(t, r, hour, random(uint64(hour), 1<<10)) //nolint:gosec // small
	}
	drop(t, r, one.ID)
	drop(t, r, two.ID)
	maintain(t, r)
	storetest.Wreck(t, s, storetest.Versions(t, s))

	_, err := repository.Open(t.Context(), s.Place, holdfast.NewSecret(password), by)
	class(t, err, holdfast.NoRepository)
	left := storetest.Versions(t, s)
	for v, text := range good {
		if left[v] != text && !v.OfAProcess() {
			t.Errorf("version %s of %s is gone, or another", v.ID, v.Name)
		}
	}
	if !dated {
		return
	}
	then := open(t, s.Place, by, repository.AsOf(before))
	if list := sets(t, then, ""); len(list) != 2 {
		t.Fatalf("the sets were %v", list)
	}
	for id, content := range map[holdfast.SetID][]byte{one.ID: first, two.ID: second} {
		_, files, err := then.Find(t.Context(), "demo", string(id))
		if err != nil {
			t.Fatal(err)
		}
		if got := repositorytest.Read(t, files, rows); string(got) != string(content) {
			t.Errorf("set %s came back different", id)
		}
	}
}
