package repository_test

import (
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/storetest"
	"holdfast/place"
	"holdfast/repository"
)

const month = 30 * 24 * time.Hour

// Everything that a set needs is locked, and so is what repairs it. What belongs
// to processes is not. Maintenance extends the locks of what is kept.
func TestARepositoryThatLocks(t *testing.T) {
	s, roles := storetest.S3LockedRoles(t, map[string]string{
		"node":   storetest.Policy("s3-node.json"),
		"keeper": storetest.Policy("s3-keeper.json"),
	})
	storetest.RetainByDefault(t, s)
	lock := repository.Locked(repository.ObjectLock{Mode: repository.Compliance, Period: month})
	if err := repository.Create(t.Context(), s.Place, holdfast.NewSecret(password), repository.By(roles["node"]), lock); err != nil {
		t.Fatal(err)
	}
	first := storeRows(t, open(t, s.Place, repository.By(roles["node"])), 1, random(1, 2<<20))
	second := storeRows(t, open(t, s.Place, repository.By(roles["node"])), 2, random(2, 2<<20))
	before := storetest.LockedUntil(t, s)
	for name, until := range before {
		if left := time.Until(until); left < month-time.Hour && !strings.HasPrefix(name, "holdfast-run-") {
			t.Errorf("%s is locked for %v", name, left)
		}
	}

	time.Sleep(1100 * time.Millisecond) // locks are to the second
	defer repository.SetYoung(0)()
	keeper := open(t, s.Place, repository.By(roles["keeper"]))
	drop(t, keeper, first.ID)
	maintain(t, keeper)
	for name, until := range storetest.LockedUntil(t, s) {
		if old, known := before[name]; known && strings.ContainsAny(name[:1], "pqxh") && !until.After(old) {
			t.Errorf("the lock of %s was not extended beyond %v", name, old)
		}
	}
	if list := sets(t, keeper, ""); len(list) != 1 || list[0].ID != second.ID {
		t.Errorf("the sets are %v", list)
	}
}

// With the policy of a node nothing that an attacker tries succeeds; with all
// rights some of it does, and is named.
func TestAttacks(t *testing.T) {
	s, roles := storetest.S3LockedRoles(t, map[string]string{"node": storetest.Policy("s3-node.json")})
	attacks := func(a repository.Access) map[string]holdfast.Verdict {
		list, err := repository.Immutability(t.Context(), s.Place, repository.By(a))
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]holdfast.Verdict{}
		for _, a := range list {
			out[a.Attack] = a.Verdict
		}
		return out
	}
	node := attacks(roles["node"])
	for attack, verdict := range node {
		if verdict != holdfast.Holds {
			t.Errorf("%s: %s", attack, verdict)
		}
	}
	if len(node) != 8 {
		t.Errorf("%d attacks were tried", len(node))
	}
	owner := attacks(s.Access)
	for _, attack := range []string{"shorten it past governance", "delete its version past governance"} {
		if owner[attack] != holdfast.Violated {
			t.Errorf("the owner, %s: %s", attack, owner[attack])
		}
	}
}

// A lock that cannot be kept is refused before anything is made.
func TestLocksThatAreNone(t *testing.T) {
	s := storetest.S3Versions(t)
	for name, c := range map[string]struct {
		at   place.Place
		lock repository.ObjectLock
		want holdfast.Class
		says string
	}{
		"of no mode":        {s.Place, repository.ObjectLock{Mode: "LEGAL", Period: month}, holdfast.Usage, "governance"},
		"for a day":         {s.Place, repository.ObjectLock{Mode: repository.Governance, Period: 24 * time.Hour}, holdfast.Usage, "48 hours"},
		"of a directory":    {place.Directory(t.TempDir()), repository.ObjectLock{Mode: repository.Compliance, Period: month}, holdfast.Usage, "locks nothing"},
		"where there is no": {s.Place, repository.ObjectLock{Mode: repository.Compliance, Period: month}, holdfast.Violation, "delete every set"},
	} {
		err := repository.Create(t.Context(), c.at, holdfast.NewSecret(password), repository.By(s.Access), repository.Locked(c.lock))
		why, do := holdfast.Advice(err)
		if holdfast.ClassOf(err) != c.want || !strings.Contains(why, c.says) || !strings.Contains(do, "`") && !strings.Contains(do, "bucket") {
			t.Errorf("%s: %v, %s, %s", name, err, why, do)
		}
	}
}
