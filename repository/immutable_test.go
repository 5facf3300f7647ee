package repository_test

import (
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/splicetest"
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
	attacks := func(a repository.Access, more ...repository.Option) map[string]holdfast.Verdict {
		list, err := repository.Immutability(t.Context(), s.Place, append(more, repository.By(a))...)
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
	lock := repository.Locked(repository.ObjectLock{Mode: repository.Compliance, Period: month})
	for attack, verdict := range attacks(s.Access, lock) {
		if verdict != holdfast.Holds {
			t.Errorf("the owner, of a lock that nobody takes back, %s: %s", attack, verdict)
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

// A repository that was made without locks is locked as a whole later, what it
// stored before too. Its locks are looked at, and said to run out when nobody
// maintains it.
func TestLocksForARepositoryThatHadNone(t *testing.T) {
	s, roles := storetest.S3LockedRoles(t, map[string]string{
		"node":   storetest.Policy("s3-node.json"),
		"keeper": storetest.Policy("s3-keeper.json"),
	})
	by := repository.By(roles["node"])
	if err := repository.Create(t.Context(), s.Place, holdfast.NewSecret(password), by); err != nil {
		t.Fatal(err)
	}
	storeRows(t, open(t, s.Place, by), 1, random(1, 2<<20))
	role := "keeper"
	if splicetest.Long() {
		role = "node" // who may not delete the copy of the old settings, which kopia tries ten times
	}
	r := open(t, s.Place, repository.By(roles[role]))
	if found, err := r.Locks(t.Context()); err != nil || found.Kept || found.Rule.Period != 0 {
		t.Errorf("locks of a repository without any: %+v, %v", found, err)
	}
	rule := repository.ObjectLock{Mode: repository.Compliance, Period: month}
	if n, err := r.Lock(t.Context(), rule, false); err != nil || n < 4 {
		t.Fatalf("%d blobs were locked: %v", n, err)
	}
	storeRows(t, open(t, s.Place, by), 2, random(2, 2<<20))
	for name, until := range storetest.LockedUntil(t, s) {
		passing := strings.HasPrefix(name, "holdfast-run-") || strings.HasPrefix(name, "holdfast-lock-") || name[0] == 's'
		if left := time.Until(until); left < month-time.Hour && !passing {
			t.Errorf("%s is locked for %v", name, left)
		}
	}
	found, err := open(t, s.Place, by).Locks(t.Context())
	if err != nil || !found.Kept || found.Rule != rule || time.Until(found.Until) < month-time.Hour || found.Default != "" {
		t.Errorf("locks: %+v, %v", found, err)
	}
	maintain(t, open(t, s.Place, repository.By(roles["keeper"])))
	if found, err = open(t, s.Place, by).Locks(t.Context()); err != nil || found.Extended.IsZero() {
		t.Errorf("locks that maintenance has extended: %+v, %v", found, err)
	}
	weaker := repository.ObjectLock{Mode: repository.Governance, Period: month}
	_, err = r.Lock(t.Context(), weaker, false)
	class(t, err, holdfast.Refused)
	storetest.RetainByDefault(t, s)
	if found, err = r.Locks(t.Context()); err != nil || !strings.Contains(found.Default, "GOVERNANCE for 1 day") {
		t.Errorf("locks by default: %+v, %v", found, err)
	}
}

// A copy in a place that locks is locked as the repository is, and its locks are
// extended by who sends it. One in a place that locks nothing is a repository that
// can be written to.
func TestLocksOfACopy(t *testing.T) {
	s := storetest.S3Locked(t)
	by := repository.By(s.Access)
	rule := repository.ObjectLock{Mode: repository.Compliance, Period: month}
	if err := repository.Create(t.Context(), s.Place, holdfast.NewSecret(password), by, repository.Locked(rule)); err != nil {
		t.Fatal(err)
	}
	r := open(t, s.Place, by)
	first := storeRows(t, r, 1, random(1, 2<<20))
	plain := place.Directory(t.TempDir())
	sent, err := r.CopyTo(t.Context(), plain)
	if err != nil || sent.Locked {
		t.Fatalf("%+v, %v", sent, err)
	}
	storeRows(t, open(t, plain), 2, random(2, 2<<20))
	drop(t, open(t, plain), first.ID)
	maintain(t, open(t, plain))
	if found, err := open(t, plain).Locks(t.Context()); err != nil || found.Kept || found.Rule != rule {
		t.Errorf("locks of a copy in a directory: %+v, %v", found, err)
	}

	there := s
	there.Place.Path = "copy"
	if sent, err = r.CopyTo(t.Context(), there.Place, by); err != nil || !sent.Locked || sent.Extended != 0 {
		t.Fatalf("%+v, %v", sent, err)
	}
	before := storetest.LockedUntil(t, there)
	time.Sleep(1100 * time.Millisecond) // locks are to the second
	if sent, err = r.CopyTo(t.Context(), there.Place, by, repository.Extending()); err != nil || sent.Extended == 0 {
		t.Fatalf("%+v, %v", sent, err)
	}
	for name, until := range storetest.LockedUntil(t, there) {
		if time.Until(until) < month-time.Hour || name[0] == 'p' && !until.After(before[name]) {
			t.Errorf("%s of the copy is locked until %v, and was until %v", name, until, before[name])
		}
	}
}

// A repository in a directory has copies with locks of their own.
func TestACopyWithLocksOfItsOwn(t *testing.T) {
	at, _ := make1(t)
	r := open(t, at)
	storeRows(t, r, 1, random(1, 2<<20))
	s := storetest.S3Locked(t)
	rule := repository.ObjectLock{Mode: repository.Compliance, Period: month}
	own := []repository.Option{repository.By(s.Access), repository.Locked(rule)}
	if sent, err := r.CopyTo(t.Context(), s.Place, own...); err != nil || !sent.Locked {
		t.Fatalf("%+v, %v", sent, err)
	}
	storeRows(t, open(t, s.Place, own...), 2, random(2, 2<<20))
	for name, until := range storetest.LockedUntil(t, s) {
		if left := time.Until(until); left < month-time.Hour && !strings.HasPrefix(name, "holdfast-run-") {
			t.Errorf("%s of the copy is locked for %v", name, left)
		}
	}
	_, err := r.CopyTo(t.Context(), place.Directory(t.TempDir()), repository.Locked(rule))
	class(t, err, holdfast.Usage)
}
