package setup_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/config"
	"holdfast/drill"
	"holdfast/event"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/rdsapi"
	"holdfast/record"
	"holdfast/restore"
	"holdfast/setup"
)

// lift lifts a set.
func (n *tenant) lift(ctx context.Context, id holdfast.SetID) (holdfast.Set, *drill.Report, error) {
	l, err := n.Lift(ctx, string(id))
	if err != nil {
		return holdfast.Set{}, nil, err
	}
	return l.Run(ctx)
}

// drills are those that the repository remembers of a set.
func (n *tenant) drills(t *testing.T, set holdfast.SetID) (out []record.Drill) {
	t.Helper()
	r, err := n.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.Drills(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if d.Set == set {
			out = append(out, d)
		}
	}
	return out
}

func found(r *drill.Report, code string) holdfast.Verdict {
	for _, f := range r.Findings {
		if f.Code == code {
			return f.Verdict
		}
	}
	return ""
}

// The rows of a node on one instance.
func TestSnapshotsOfRDSAreLifted(t *testing.T) {
	n := newTenant(t, false)
	n.write(t)
	then := n.rows(t, n.dsns)
	set := backedUp(t, n.Parts)
	n.write(t)
	t.Run("or say why not", func(t *testing.T) { n.liftFails(t, set) })
	t.Run("after a kill", func(t *testing.T) { n.liftSurvives(t, set, 2) })
	t.Run("row by row", func(t *testing.T) { n.lifted(t, set, then) })
}

// The rows of a node on two instances.
func TestSnapshotsOfTwoInstancesAreLifted(t *testing.T) {
	splicetest.OnlyLong(t)
	n := newTenant(t, true)
	n.write(t)
	then := n.rows(t, n.dsns)
	set := backedUp(t, n.Parts)
	n.write(t)
	if err := n.Strange("of-apps", "apps", nil); err != nil {
		t.Fatal(err)
	}
	n.Lie(rdsapi.Lies{RestoreOther: "of-apps"})
	if _, _, err := n.lift(t.Context(), set.ID); err == nil || !strings.Contains(fmt.Sprint(err), "does not have what the set recorded") {
		t.Errorf("the instance of another one: %v", err)
	}
	n.Lie(rdsapi.Lies{})
	n.untouched(t, "after the instance of another one")
	n.liftSurvives(t, set, 4)
	n.lifted(t, set, then)
}

// lifted lifts the rows of a set and restores them. The role of lifts may do all of
// it, and is allowed nothing that is not asked for.
func (n *tenant) lifted(t *testing.T, set holdfast.Set, then map[string]string) {
	allowed := rdsActions(t, "rds-lift.json")
	n.Allow(allowed)
	defer n.Allow(nil)
	seen := map[string]map[string]string{} // the labels of temporary instances
	before := len(n.Calls())
	n.Watch(func(c rdsapi.Call) {
		for _, id := range n.servers() {
			_, known := n.was[id]
			if _, judged := seen[id]; known || judged || !strings.HasPrefix(c.Action, "Delete") {
				continue
			}
			seen[id] = n.labels(id)
			n.likeTheLive(t, id, seen[id]["holdfast-lift-of"], true)
		}
	})
	got, report, err := n.lift(t.Context(), set.ID)
	n.Watch(nil)
	if err != nil {
		t.Fatal(err)
	}
	n.untouched(t, "after a lift")
	for id, labels := range seen {
		until, err := time.Parse(time.RFC3339, labels["holdfast-lift-until"])
		if err != nil || time.Until(until) < 23*time.Hour || labels["holdfast-lift-node"] != "demo" ||
			!strings.HasPrefix(id, "holdfast-lift-") {
			t.Errorf("%s has the labels %v", id, labels)
		}
	}
	if want := len(n.servers()); len(seen) != want {
		t.Errorf("%d were made, want %d: %v", len(seen), want, seen)
	}

	// The set is of the moment of the snapshots, in their order.
	if got.State != holdfast.Proven || got.LiftedFrom() != set.ID || got.KeptElsewhere() || len(got.Problems()) > 0 {
		t.Errorf("set %s is %s, from %s: %v", got.ID, got.State, got.LiftedFrom(), got.Problems())
	}
	if age := got.Began.Wall.Sub(set.Began.Wall); age <= 0 || age > time.Second || got.Ended != set.Ended {
		t.Errorf("it is of %v to %v, and the snapshots are of %v to %v", got.Began, got.Ended, set.Began, set.Ended)
	}
	for _, part := range got.Parts() {
		was, _ := set.Part(part.Component)
		if part.Consistent != was.Consistent || part.Ground != nil || part.TakenOver != nil {
			t.Errorf("%s is of %v, with ground %v", part.Component, part.Consistent, part.Ground)
		}
	}
	for _, e := range got.Order.Edges {
		if e.Clock.Verdict != holdfast.Holds || e.Content.Verdict != holdfast.Holds {
			t.Errorf("the order is %+v", e)
		}
	}

	// It was a drill of the set of snapshots.
	for code, want := range map[string]holdfast.Verdict{
		"restored_equal": holdfast.Holds, "restored_in_order": holdfast.Holds, "nothing_left": holdfast.Holds,
		"restored_one_node": holdfast.Holds, "no_network": holdfast.NoneApplies,
	} {
		if v := found(report, code); v != want {
			t.Errorf("%s: %s, want %s", code, v, want)
		}
	}
	if list := n.drills(t, set.ID); len(list) == 0 || !list[len(list)-1].Kept {
		t.Errorf("the drills of %s are %+v", set.ID, list)
	}

	// Nothing was asked of the live instance, and nothing is allowed that was not asked for.
	for _, c := range n.Calls()[before:] {
		if _, live := n.was[c.Target]; live && !strings.HasPrefix(c.Action, "Describe") {
			t.Errorf("%s of %s", c.Action, c.Target)
		}
		allowed = slices.DeleteFunc(allowed, func(a string) bool { return a == "rds:"+c.Action })
	}
	later := append([]string{"rds:DescribeDBClusterSnapshots", "rds:AddTagsToResource"}, ofClusters...) // as of restores
	if len(n.Clusters()) > 0 {
		later = append([]string{"rds:AddTagsToResource"}, ofInstances...)
		if n.ClusterShape("canton").Class != "" { // a Multi-AZ one, whose members come and go with it
			later = append(later, "rds:CreateDBInstance", "rds:DeleteDBInstance")
		}
	}
	for _, later := range later {
		allowed = slices.DeleteFunc(allowed, func(a string) bool { return a == later })
	}
	if len(allowed) > 0 {
		t.Errorf("the policy allows what nothing asks for: %v", allowed)
	}

	// It comes back as any other set of rows.
	n.Allow(nil)
	stored, files, err := n.Find(t.Context(), string(got.ID))
	if err != nil {
		t.Fatal(err)
	}
	target, _, err := n.RestoreTarget(t.Context(), setup.RestoreOptions{}, stored, files)
	if err != nil {
		t.Fatal(err)
	}
	back, err := restore.Make(t.Context(), target, stored, restore.Options{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restore.Apply(t.Context(), target, back, stored, files, nil); err != nil {
		t.Fatal(err)
	}
	if rows := n.rows(t, n.dsns); !maps.Equal(rows, then) {
		t.Errorf("the databases have %v, want %v", rows, then)
	}
}

// liftFails has lifts stopped by what may be in the way, and by what a provider must
// not do: it is named, and no instance is left.
func (n *tenant) liftFails(t *testing.T, set holdfast.Set) {
	if err := n.Strange("of-today", "canton", nil); err != nil {
		t.Fatal(err)
	}
	defer n.Discard("of-today")
	for _, c := range []struct {
		name  string
		lies  rdsapi.Lies
		class holdfast.Class
		says  string
		long  bool
	}{
		{"no room", rdsapi.Lies{InstanceQuota: 1}, holdfast.NoSpace, "have the quota raised", true},
		{"no right", rdsapi.Lies{Denied: []string{"RestoreDBInstanceFromDBSnapshot"}}, holdfast.WrongKey, "rds-lift.json", false},
		{"given up", rdsapi.Lies{FailRestores: true}, holdfast.Undetermined, "incompatible-restore", true},
		{"another moment", rdsapi.Lies{RestoreOther: "of-today"}, holdfast.Violation, "newer than the reading after it", false},
	} {
		if c.long && !splicetest.Long() {
			continue
		}
		n.Lie(c.lies)
		got, _, err := n.lift(t.Context(), set.ID)
		n.Lie(rdsapi.Lies{})
		why, do := holdfast.Advice(err)
		if text := fmt.Sprint(err, why, do); holdfast.ClassOf(err) != c.class || !strings.Contains(text, c.says) || got.ID != "" {
			t.Errorf("%s: %q: %s", c.name, holdfast.ClassOf(err), text)
		}
		n.untouched(t, "after "+c.name)
	}
	if v := record.Restores(set.ID, n.drills(t, set.ID)); v != holdfast.Violated {
		t.Errorf("after another moment the drills of the set say %s", v)
	}

	if !splicetest.Long() {
		return
	}

	// Who interrupts it while rows are read waits until the instance is deleted.
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	n.Parts.Events = event.Listener(func(e event.Event) {
		if _, reading := e.(postgres.SnapshotTaken); reading {
			interrupt()
		}
	})
	if _, _, err := n.lift(ctx, set.ID); err == nil || ctx.Err() == nil {
		t.Errorf("an interrupted lift: %v", err)
	}
	n.Parts.Events = nil
	n.untouched(t, "after an interrupt")
	if list := n.sets(t); len(list) != 1 {
		t.Errorf("there are %d sets, want that of snapshots", len(list))
	}
	n.neverThere(t, set)
	n.vanishes(t)
}

// neverThere has an instance come to nothing. It cannot be deleted either: it is
// named, and deleted once its time is over.
func (n *tenant) neverThere(t *testing.T, set holdfast.Set) {
	within := n.Config.RDS.Within
	n.Config.RDS.Within /= 300 // of a minute
	n.Lie(rdsapi.Lies{SlowRestores: true})
	_, report, err := n.lift(t.Context(), set.ID)
	n.Lie(rdsapi.Lies{})
	n.Config.RDS.Within = within
	if report == nil || found(report, "restored_equal") != holdfast.CannotTell ||
		!strings.Contains(fmt.Sprint(err), "is left, and costs until it is deleted") || len(n.Instances()) != len(n.was)+1 {
		t.Errorf("never there: %v, with instances %v", err, n.Instances())
	}
	n.Settle()
	if err := setup.SweepTemporary(t.Context(), n.Parts, time.Now().Add(23*time.Hour)); err != nil || len(n.Instances()) == len(n.was) {
		t.Errorf("before its time: %v, with instances %v", err, n.Instances())
	}
	if err := setup.SweepTemporary(t.Context(), n.Parts, time.Now().Add(25*time.Hour)); err != nil {
		t.Error(err)
	}
	n.untouched(t, "after its time")
}

// vanishes has a snapshot vanish when the instance is requested.
func (n *tenant) vanishes(t *testing.T) {
	if err := n.Strange("safe", "canton", nil); err != nil {
		t.Fatal(err)
	}
	defer n.Discard("safe")
	lost := backedUp(t, n.Parts)
	n.Watch(func(c rdsapi.Call) {
		if c.Action == "RestoreDBInstanceFromDBSnapshot" {
			n.Watch(nil)
			for _, id := range n.Snapshots() {
				if strings.Contains(id, strings.ToLower(string(lost.ID))) {
					n.Discard(id)
				}
			}
		}
	})
	if _, _, err := n.lift(t.Context(), lost.ID); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("a snapshot that vanishes: %v", err)
	}
	n.untouched(t, "after a snapshot that vanished")
	if _, _, err := n.lift(t.Context(), lost.ID); holdfast.ClassOf(err) != holdfast.Refused ||
		!strings.Contains(err.Error(), "does not exist any more") {
		t.Errorf("a snapshot that is gone: %v", err)
	}
}

func (n *tenant) sets(t *testing.T) []holdfast.SetID {
	t.Helper()
	r, err := n.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.Sets(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	var out []holdfast.SetID
	for _, e := range list {
		out = append(out, e.ID)
	}
	return out
}

// liftSurvives kills lifts with each call that changes something: before it arrives,
// or once it has. Another one deletes what they have left.
func (n *tenant) liftSurvives(t *testing.T, set holdfast.Set, calls int) {
	for number := 1; number <= calls; number++ {
		for _, arrives := range []bool{true, false} {
			if !splicetest.Long() && (!arrives || number > 1) {
				continue
			}
			what := fmt.Sprintf("killed at call %d (arrives %v)", number, arrives)
			dead := n.diesAt(number, arrives)
			_, _, err := n.lift(t.Context(), set.ID)
			n.Watch(nil)
			n.Allow(nil)
			if !*dead || err == nil {
				t.Fatalf("%s: the process did not die: %v", what, err)
			}
			n.Settle()
			job, err := n.DrillJob(t.Context(), set, nil, setup.DrillOptions{})
			if err != nil {
				t.Fatal(err)
			}
			plan, err := job.Plan(t.Context(), set, nil)
			if err != nil {
				t.Fatal(err)
			}
			report, err := job.Run(t.Context(), plan, set, nil)
			if report == nil || found(report, "restored_equal") != holdfast.Holds {
				t.Fatalf("%s, the next drill: %v", what, err)
			}
			n.untouched(t, what)
		}
	}
}

// A service reads the rows from a temporary instance, or from the live databases where it may
// not make one, and says so.
func TestAServiceLiftsSnapshots(t *testing.T) {
	n := newTenant(t, false)
	n.write(t)
	var live []string
	n.Parts.Events = func(e event.Event) {
		if l, is := e.(setup.RowsReadLive); is {
			live = append(live, l.String())
		}
	}
	take := func(due bool, want ...bool) { // whether each set so far was lifted
		t.Helper()
		if got, err := setup.RowsDue(t.Context(), n.Parts); err != nil || got != due {
			t.Errorf("rows are due: %t, %v; want %t", got, err, due)
		}
		if err := setup.TakeSet(t.Context(), n.Parts); err != nil {
			t.Fatal(err)
		}
		n.untouched(t, "after a set")
		var got []bool
		for _, id := range n.sets(t) {
			set, _, err := n.Find(t.Context(), string(id))
			if err != nil || set.State != holdfast.Proven {
				t.Errorf("set %s is %s: %v", id, set.State, err)
			}
			got = append(got, set.LiftedFrom() != "")
		}
		if !slices.Equal(got, want) {
			t.Errorf("of the sets are lifted: %v, want %v", got, want)
		}
	}
	n.Lie(rdsapi.Lies{Denied: []string{"RestoreDBInstanceFromDBSnapshot"}})
	n.Config.RDS.RowsFrom = config.RowsFromSnapshot
	take(true, false) // a snapshot
	if len(live) > 0 {
		t.Errorf("against the configuration: %v", live)
	}
	n.Lie(rdsapi.Lies{})
	take(true, false, false, true)
	take(false, false, false, true, false)
	if !splicetest.Long() {
		return
	}
	n.Config.RDS.RowsFrom, n.Config.RDS.DumpEvery = "", config.Duration(time.Nanosecond)
	n.Lie(rdsapi.Lies{Denied: []string{"RestoreDBInstanceFromDBSnapshot"}})
	take(true, false, false, true, false, false, false) // a snapshot and a dump
	if len(live) != 1 || !strings.Contains(live[0], "rds:RestoreDBInstanceFromDBSnapshot") {
		t.Errorf("the live databases were read: %v", live)
	}
}
