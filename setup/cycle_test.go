package setup_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast"
	"holdfast/cycle"
	"holdfast/event"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/rdsapi"
	"holdfast/setup"
)

// small is an instance as small as RDS makes one.
func small() setup.CycleOptions { return setup.CycleOptions{Class: "db.t4g.micro", GB: 20} }

// cycle goes through one.
func (n *tenant) cycle(ctx context.Context, t *testing.T) (cycle.Report, error) {
	t.Helper()
	job, err := n.Cycle(ctx, small())
	if err != nil {
		t.Fatal(err)
	}
	return job.Run(ctx)
}

// asBefore makes sure that the account has what it had.
func (n *tenant) asBefore(t *testing.T, when string) {
	t.Helper()
	n.untouched(t, when)
	if left := n.Snapshots(); len(left) > 0 {
		t.Errorf("%s the snapshots are %v", when, left)
	}
}

// A cycle makes everything itself, compares every row, finds the stand-in to be what
// it stands for, and leaves nothing. Its role may do that, and nothing else; the
// instance of the node is looked at, and nothing more.
func TestACycleInTheAccount(t *testing.T) {
	n := newTenant(t, false)
	n.Config.RDS.Prices.Hours = map[string]string{"db.t4g.micro": "0.016 USD"}
	allowed := rdsActions(t, "rds-rehearse.json")
	n.Allow(allowed)
	job, err := n.Cycle(t.Context(), small())
	if err != nil {
		t.Fatal(err)
	}
	p := job.Plan
	if p.Subnets != "private" || !slices.Equal(p.SecurityGroups, []string{"sg-1"}) || p.Like != "canton" || p.Region != rdsapi.Region ||
		len(p.Steps) != len(job.Steps)+1 || p.ExpectedSum.Amount <= 0 || p.MostSum.Amount <= p.ExpectedSum.Amount ||
		len(p.ExpectedSum.Unknown) != 2 {
		t.Errorf("the plan is %+v", p)
	}
	if len(n.Instances()) != 1 {
		t.Errorf("a plan has made %v", n.Instances())
	}
	scratch := filepath.Join(os.TempDir(), "holdfast-scratch-*")
	before, _ := filepath.Glob(scratch)
	ofOthers := func(dir string) bool { return slices.Contains(before, dir) || usedByOthers(t, dir) }
	report, err := job.Run(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, s := range report.Steps {
		t.Logf("%s: %v", s.What, s.Took)
	}
	for _, c := range report.Claims {
		t.Logf("%s: %s: %s", c.Claim, c.Verdict, c.Seen)
		if c.Verdict != holdfast.Holds {
			t.Errorf("%s: %s: %s", c.Claim, c.Verdict, c.Seen)
		}
	}
	const least = 2 * 10 // rows that were written before the snapshot
	if report.Verdict != holdfast.Holds || report.Rows < least || len(report.Steps) != len(p.Steps) || report.Left != "" {
		t.Errorf("the report is %+v", report)
	}
	if !slices.ContainsFunc(report.Removed, func(what string) bool { return strings.HasPrefix(what, "snapshot holdfast-") }) {
		t.Errorf("removed were %v", report.Removed)
	}
	n.asBefore(t, "after a cycle")
	left, _ := filepath.Glob(scratch)
	if left = slices.DeleteFunc(left, ofOthers); len(left) > 0 {
		t.Errorf("on this machine %v are left", left)
	}
	for _, c := range n.Calls() {
		if _, live := n.was[c.Target]; live {
			t.Errorf("%s of %s", c.Action, c.Target)
		}
		allowed = slices.DeleteFunc(allowed, func(a string) bool { return a == "rds:"+c.Action || a == "rds:AddTagsToResource" })
	}
	if len(allowed) > 0 {
		t.Errorf("the policy allows what nothing asks for: %v", allowed)
	}
}

// usedByOthers reports whether another process uses the directory, or has removed it:
// whoever uses one has it locked.
func usedByOthers(t *testing.T, dir string) bool {
	t.Helper()
	ours, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(ours, func(fd string) bool { to, err := os.Readlink(fd); return err == nil && to == dir }) {
		return false
	}
	f, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return true
	}
	defer func() { _ = f.Close() }()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// What a provider does not do as it says is found, and everything is deleted all the
// same.
func TestACycleFindsLies(t *testing.T) {
	n := newTenant(t, false)
	for _, c := range []struct {
		name  string
		lies  rdsapi.Lies
		class holdfast.Class
		says  string
		wrong string // the claim
		long  bool
	}{
		{name: "snapshots go with their instance", lies: rdsapi.Lies{LoseSnapshots: true}, class: holdfast.Violation,
			says: "outlives", wrong: "outlives", long: true},
		{name: "no right", lies: rdsapi.Lies{Denied: []string{"CreateDBInstance"}}, class: holdfast.WrongKey, says: "rds-rehearse.json"},
		{name: "no time of the content", lies: rdsapi.Lies{HideTime: true}, class: holdfast.Violation, says: "SnapshotDatabaseTime",
			wrong: "SnapshotDatabaseTime", long: true},
		{name: "times of a copy", lies: rdsapi.Lies{CopiedTimes: true}, class: holdfast.Failed, says: "contradicts",
			wrong: "SnapshotCreateTime", long: true},
		{name: "no such class", lies: rdsapi.Lies{NoClass: []string{"db.t4g.micro"}}, class: holdfast.Refused, says: "--class"},
		{name: "no room", lies: rdsapi.Lies{Quota: 1}, class: holdfast.NoSpace, says: "", long: true},
		{name: "given up", lies: rdsapi.Lies{FailRestores: true}, class: holdfast.Undetermined, says: "incompatible-restore", long: true},
	} {
		if c.long && !splicetest.Long() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if c.lies.Quota > 0 {
				if err := n.Strange("nightly", "canton", nil); err != nil {
					t.Fatal(err)
				}
				defer n.Discard("nightly")
			}
			n.Lie(c.lies)
			report, err := n.cycle(t.Context(), t)
			n.Lie(rdsapi.Lies{})
			why, do := holdfast.Advice(err)
			if text := fmt.Sprint(err, why, do); holdfast.ClassOf(err) != c.class || !strings.Contains(text, c.says) {
				t.Errorf("%q: %s", holdfast.ClassOf(err), text)
			}
			var wrong []string
			for _, claim := range report.Claims {
				if claim.Verdict == holdfast.Violated {
					wrong = append(wrong, claim.Claim)
				}
			}
			if (len(wrong) > 0) != (c.wrong != "") || c.wrong != "" && !strings.Contains(wrong[0], c.wrong) {
				t.Errorf("claims that do not hold: %q", wrong)
			}
			n.untouched(t, "after "+c.name)
			if left := slices.DeleteFunc(n.Snapshots(), func(s string) bool { return s == "nightly" }); len(left) > 0 {
				t.Errorf("the snapshots are %v", left)
			}
		})
	}
}

// A version that RDS makes no more is named, and how to choose another one.
func TestACycleOfAnotherVersion(t *testing.T) {
	n := newTenant(t, false)
	o := small()
	o.Version = "7.4"
	job, err := n.Cycle(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = job.Run(t.Context())
	if _, do := holdfast.Advice(err); holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(do, "--postgres") {
		t.Errorf("%v; %s", err, do)
	}
	n.asBefore(t, "after another version")
	for name, d := range n.Config.Databases {
		d.RDS.Instance = "gone"
		n.Config.Databases[name] = d
	}
	if _, err := n.Cycle(t.Context(), small()); holdfast.ClassOf(err) != holdfast.Usage || !strings.Contains(err.Error(), "--postgres") {
		t.Errorf("without an instance whose version it could have: %v", err)
	}
}

// What a killed rehearsal has left is named by the next one, which deletes it. So does
// retention, once its time is over. What only looks alike stays.
func TestAKilledCycleIsCleanedUp(t *testing.T) {
	n := newTenant(t, false)
	const all = 7 // calls that change something: made, snapshot twice, lifted, three deleted
	last := 1
	if splicetest.Long() {
		last = all
	}
	for number := 1; number <= last; number++ {
		for _, arrives := range []bool{true, false} {
			if !splicetest.Long() && !arrives || arrives && number == all { // after which nothing is called
				continue
			}
			what := fmt.Sprintf("killed at call %d (arrives %v)", number, arrives)
			dead := n.diesAt(number, arrives)
			_, err := n.cycle(t.Context(), t)
			n.Watch(nil)
			n.Allow(nil)
			if !*dead || err == nil {
				t.Fatalf("%s: the process did not die: %v", what, err)
			}
			n.Settle()
			job, err := n.Cycle(t.Context(), small())
			if err != nil {
				t.Fatal(err)
			}
			made := len(n.Instances()) - len(n.was) + len(n.Snapshots())
			if len(job.Plan.Left) != made || arrives && number == 1 && made == 0 {
				t.Errorf("%s: the plan names %v, of %v and %v", what, job.Plan.Left, n.Instances(), n.Snapshots())
			}
			removed, err := n.CleanCycles(t.Context())
			if err != nil || len(removed) != made {
				t.Errorf("%s: removed were %v: %v", what, removed, err)
			}
			n.asBefore(t, what)
		}
	}
	dead := n.diesAt(2, true)
	_, _ = n.cycle(t.Context(), t)
	n.Watch(nil)
	n.Allow(nil)
	n.Settle()
	if !*dead || len(n.Instances()) == len(n.was) {
		t.Fatal("nothing is left")
	}
	if err := n.Strange("holdfast-20260101t000000z-00000001-canton", "canton", map[string]string{"holdfast-node": "demo-rehearsal",
		"holdfast-set": "20260101T000000Z-00000001", "holdfast-server": "canton"}); err != nil { // of a node with that name
		t.Fatal(err)
	}
	if err := setup.SweepTemporary(t.Context(), n.Parts, time.Now().Add(23*time.Hour)); err != nil || len(n.Instances()) == len(n.was) {
		t.Errorf("before its time: %v, with instances %v", err, n.Instances())
	}
	if err := setup.SweepTemporary(t.Context(), n.Parts, time.Now().Add(25*time.Hour)); err != nil {
		t.Error(err)
	}
	n.untouched(t, "after its time")
	if left := n.Snapshots(); !slices.Equal(left, []string{"holdfast-20260101t000000z-00000001-canton"}) {
		t.Errorf("the snapshots are %v", left)
	}
}

// Who interrupts a cycle waits until all of it is deleted.
func TestAnInterruptedCycle(t *testing.T) {
	splicetest.OnlyLong(t)
	n := newTenant(t, false)
	for _, at := range []string{"make two databases", "take a set", "lift the set", "restore the dump"} {
		ctx, interrupt := context.WithCancel(t.Context())
		n.Parts.Events = event.Listener(func(e event.Event) {
			if b, is := e.(cycle.Began); is && strings.HasPrefix(b.What, at) {
				interrupt()
			}
		})
		if _, err := n.cycle(ctx, t); err == nil || ctx.Err() == nil {
			t.Errorf("interrupted as it began to %s: %v", at, err)
		}
		interrupt()
		n.asBefore(t, "after an interrupt")
	}
}
