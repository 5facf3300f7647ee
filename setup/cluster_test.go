package setup_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/backup"
	"holdfast/config"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/rdsapi"
	"holdfast/restore"
	"holdfast/setup"
)

// newCluster is a node on one cluster, which is reached by the cluster's name.
func newCluster(t *testing.T, engine string) *tenant {
	t.Helper()
	node := splicetest.NewNode(t, splicetest.NodeOptions{TCP: true})
	n := &tenant{
		Account: rdsapi.New(t, rdsapi.Instance{
			ID: "canton-1", Cluster: "canton", Engine: engine, Server: node.Participant, Protect: true,
		}),
		node: node, dsns: map[string]string{},
	}
	n.was = n.there()
	port := n.Address("canton")
	for component, dsn := range map[string]string{"participant": node.ParticipantDSN(), "validator": node.ValidatorDSN()} {
		n.dsns[component] = atPort(t, dsn, port)
	}
	n.Parts = rentedAt(t, n.Account, n.dsns, "canton", "canton")
	return n
}

// clusterBackedUp is a set of snapshots of a cluster: one of a Multi-AZ cluster may be of
// a reader, and is not proven.
func clusterBackedUp(t *testing.T, n *tenant, engine string) holdfast.Set {
	t.Helper()
	if engine == rdsapi.Aurora {
		return backedUp(t, n.Parts)
	}
	var set holdfast.Set
	err := n.Backup(t.Context(), 0, func(ctx context.Context, job backup.Job) (err error) {
		set, err = job.Run(ctx)
		return err
	})
	if set.State != holdfast.Unproven {
		t.Fatalf("the set is %s: %v", set.State, err)
	}
	return set
}

// A node on an Aurora cluster: its set comes back, and its rows are lifted.
func TestSnapshotsOfAurora(t *testing.T) {
	n := newCluster(t, rdsapi.Aurora)
	n.write(t)
	then := n.rows(t, n.dsns)
	set := backedUp(t, n.Parts)
	n.write(t)
	live := n.rows(t, n.dsns)
	t.Run("next to the live one, then in its place", func(t *testing.T) { n.comesBack(t, set, then, live) })
	if splicetest.Long() {
		t.Run("after a kill", func(t *testing.T) { n.survives(t, set, then, live, 5) })
	}
	t.Run("and what it has made is removed", func(t *testing.T) { n.clean(t); n.untouched(t, "after a restore") })
	t.Run("by the name of the cluster", func(t *testing.T) { n.namesAMember(t, set) })
	t.Run("and at what price", func(t *testing.T) { n.costs(t, set) })
	t.Run("no lift, and why", func(t *testing.T) { n.clusterLiftFails(t, set) })
	t.Run("a lift after a kill", func(t *testing.T) { n.liftSurvives(t, set, 4) })
	t.Run("a lift, row by row", func(t *testing.T) { n.lifted(t, set, then) })
	if splicetest.Long() {
		t.Run("and go again", func(t *testing.T) { n.rehearsed(t, set) })
		t.Run("when the live one is lost", func(t *testing.T) { n.replacesTheLostCluster(t, set, then) })
	}
}

// costs judges what a plan says of prices.
func (n *tenant) costs(t *testing.T, set holdfast.Set) {
	n.says(t, set, "1 cluster is made, read and deleted: cluster holdfast-lift-", ", class db.t4g.medium, 25 GB of storage",
		"An hour costs 0.10 and a day 2.50 USD.")
	n.Reshape("canton-1", func(s *rdsapi.Shape) { s.Class = "db.serverless" })
	n.says(t, set, "class db.serverless of at most 16 units", "An hour costs 3.20 and")
	n.Reshape("canton-1", func(s *rdsapi.Shape) { s.Class = "db.t4g.medium" })
}

// The rows of a node on a Multi-AZ cluster, whose sets are not proven until somebody has
// read them.
func TestSnapshotsOfAMultiAZClusterAreLifted(t *testing.T) {
	splicetest.OnlyLong(t)
	n := newCluster(t, rdsapi.MultiAZ)
	n.write(t)
	then := n.rows(t, n.dsns)
	set := clusterBackedUp(t, n, rdsapi.MultiAZ)
	n.write(t)
	n.says(t, set, "class db.m5d.large, 3 members, 25 GB of storage", "An hour costs 0.60 and a day 14.40 USD, without a "+
		"GB-month of an instance's storage, whose price is unknown.")
	n.liftSurvives(t, set, 2)
	n.lifted(t, set, then)
}

// says judges what the plan of a lift says that it makes, and what that costs.
func (n *tenant) says(t *testing.T, set holdfast.Set, want ...string) {
	t.Helper()
	n.Config.RDS.Prices = config.Prices{
		Hours:   map[string]string{"db.t4g.medium": "0.10 USD", "db.serverless": "0.20 USD", "db.m5d.large": "0.20 USD"},
		Volumes: "0.12 USD",
	}
	l, err := n.Lift(t.Context(), string(set.ID))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !strings.Contains(l.Plan.Room.Evidence, w) {
			t.Errorf("the plan says %q, want %q", l.Plan.Room.Evidence, w)
		}
	}
}

// ofClusters and ofInstances are the rights that only one of the two kinds needs.
var (
	ofClusters = []string{
		"rds:RestoreDBClusterFromSnapshot", "rds:CreateDBInstance", "rds:ModifyDBCluster", "rds:DeleteDBCluster",
	}
	ofInstances = []string{"rds:RestoreDBInstanceFromDBSnapshot", "rds:ModifyDBInstance"}
)

// likeTheLive judges how what was made is set up: as the live one is, and of what is
// there for once without what outlives it or costs more.
func (n *tenant) likeTheLive(t *testing.T, id, of string, once bool) {
	t.Helper()
	if !slices.Contains(n.Clusters(), id) {
		want := n.Shape(of)
		if once {
			want.Logs = ""
		}
		if n.Shape(id) != want || once && want.Public || want.IOPS == 0 {
			t.Errorf("%s is set up as %+v, want %+v", id, n.Shape(id), want)
		}
		return
	}
	want := n.ClusterShape(of)
	if once {
		want.Logs, want.CopiesTags, want.Retain = "", false, 1
	}
	if got := n.ClusterShape(id); got != want {
		t.Errorf("%s is set up as\n%+v, want\n%+v", id, got, want)
	}
	if member := n.Writer(id); member != "" {
		got, want := n.Shape(member), n.Shape(n.Writer(of))
		if got.Class != want.Class && n.ClusterShape(id).Class == "" {
			t.Errorf("member %s is of class %s, want %s", member, got.Class, want.Class)
		}
		if got.Parameters != want.Parameters && n.ClusterShape(id).Class == "" {
			t.Errorf("member %s has parameter group %s, want %s", member, got.Parameters, want.Parameters)
		}
	}
}

// clusterLiftFails has lifts of a cluster stopped between its calls, and by a planted lie.
func (n *tenant) clusterLiftFails(t *testing.T, set holdfast.Set) {
	if err := n.Strange("of-today", "canton-1", nil); err != nil {
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
		{"no right to a member", rdsapi.Lies{Denied: []string{"CreateDBInstance"}}, holdfast.WrongKey, "rds-lift.json", false},
		{"no right to look", rdsapi.Lies{Denied: []string{"DescribeDBClusters"}}, holdfast.WrongKey, "rds:DescribeDBClusters", true},
		{"given up", rdsapi.Lies{FailRestores: true}, holdfast.Undetermined, "inaccessible-encryption-credentials", true},
		{"no such class", rdsapi.Lies{NoClass: []string{"db.t4g.medium"}}, holdfast.Refused, "class db.t4g.medium", true},
		{"another moment", rdsapi.Lies{RestoreOther: "of-today"}, holdfast.Violation, "newer than the reading after it", false},
		{"lost answers", rdsapi.Lies{LoseAnswers: map[string]int{
			"RestoreDBClusterFromSnapshot": 1, "CreateDBInstance": 1, "DeleteDBInstance": 1, "DeleteDBCluster": 1,
		}, RestoreOther: "of-today"}, holdfast.Violation, "newer than the reading after it", true},
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
		n.Settle()
		n.untouched(t, "after "+c.name)
	}
}

// A node on a Multi-AZ cluster.
func TestSnapshotsOfAMultiAZClusterComeBack(t *testing.T) {
	splicetest.OnlyLong(t)
	n := newCluster(t, rdsapi.MultiAZ)
	n.write(t)
	then := n.rows(t, n.dsns)
	set := clusterBackedUp(t, n, rdsapi.MultiAZ)
	n.write(t)
	live := n.rows(t, n.dsns)
	n.unproven = true
	n.comesBack(t, set, then, live)
	n.survives(t, set, then, live, 4)
	n.clean(t)
	n.untouched(t, "after a restore")
}

// namesAMember has the configuration name a member of the cluster. It stands for its
// cluster, but not where clusters change their names: it keeps its own.
func (n *tenant) namesAMember(t *testing.T, set holdfast.Set) {
	for name, d := range n.Config.Databases {
		d.RDS.Instance = "canton-1"
		n.Config.Databases[name] = d
	}
	_, plan, err := n.plan(t, set, setup.RestoreOptions{}, restore.Options{})
	if err != nil || plan.Databases[0].Database != "canton" || !plan.Databases[0].Cluster {
		t.Errorf("next to the live one: %+v, %v", plan.Databases, err)
	}
	_, _, err = n.plan(t, set, setup.RestoreOptions{Rename: true}, restore.Options{})
	if _, do := holdfast.Advice(err); holdfast.ClassOf(err) != holdfast.Refused ||
		!strings.Contains(do, "rds.instance: canton.") {
		t.Errorf("in its place: %v, %s", err, do)
	}
	for name, d := range n.Config.Databases {
		d.RDS.Instance = "canton"
		n.Config.Databases[name] = d
	}
}

// replacesTheLostCluster restores a cluster that is lost: it comes back as the set
// recorded it.
func (n *tenant) replacesTheLostCluster(t *testing.T, set holdfast.Set, then map[string]string) {
	shape := n.ClusterShape("canton")
	n.LoseCluster("canton")
	_, plan, err := n.plan(t, set, setup.RestoreOptions{Rename: true}, restore.Options{})
	if err != nil || !slices.ContainsFunc(plan.Warnings, func(w string) bool {
		return strings.Contains(w, "cluster canton does not exist; the new one is set up as the set recorded")
	}) {
		t.Fatalf("%v, %v", plan.Warnings, err)
	}
	if _, err := n.restore(t, set, setup.RestoreOptions{Rename: true}); err != nil {
		t.Fatal(err)
	}
	if got := n.rows(t, n.dsns); !maps.Equal(got, then) {
		t.Errorf("the address leads to %v, want %v", got, then)
	}
	if n.ClusterShape("canton") != shape {
		t.Errorf("it is set up as %+v, want %+v", n.ClusterShape("canton"), shape)
	}
}
