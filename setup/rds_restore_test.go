package setup_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/rdsapi"
	"holdfast/restore"
	"holdfast/setup"
	"holdfast/step"
)

// tenant is a node on instances of RDS, reached by the instances' names.
type tenant struct {
	*rdsapi.Account
	*setup.Parts

	node *splicetest.Node
	dsns map[string]string // by component, at the address of the instance's name
	was  map[string]string // resources of what is there at the begin, by name

	unproven bool // its sets are, and are restored
}

func newTenant(t *testing.T, two bool) *tenant {
	t.Helper()
	node := splicetest.NewNode(t, splicetest.NodeOptions{TwoInstances: two, TCP: true})
	instances := []rdsapi.Instance{{ID: "canton", Server: node.Participant, Protect: true}}
	of := map[string]string{"participant": "canton", "validator": "canton"}
	if two {
		instances = append(instances, rdsapi.Instance{ID: "apps", Server: node.Validator})
		of["validator"] = "apps"
	}
	n := &tenant{Account: rdsapi.New(t, instances...), node: node, was: map[string]string{}, dsns: map[string]string{}}
	n.Reshape("canton", func(s *rdsapi.Shape) { s.GiB, s.IOPS, s.Throughput = 600, 12000, 500 })
	ports := map[string]int{}
	n.was = n.there()
	for _, i := range instances {
		ports[i.ID] = n.Address(i.ID)
	}
	for component, dsn := range map[string]string{"participant": node.ParticipantDSN(), "validator": node.ValidatorDSN()} {
		n.dsns[component] = atPort(t, dsn, ports[of[component]])
	}
	n.Parts = rentedAt(t, n.Account, n.dsns, of["validator"], of["participant"])
	return n
}

func atPort(t *testing.T, dsn string, port int) string {
	t.Helper()
	info, err := libpq.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return info.With("host", "127.0.0.1").With("port", fmt.Sprint(port)).String()
}

// rows are all rows of both databases, by table: how many, and a digest.
func (n *tenant) rows(t *testing.T, dsns map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for component, dsn := range dsns {
		maps.Copy(out, rowsOf(t, component, dsn))
	}
	return out
}

func rowsOf(t *testing.T, component, dsn string) map[string]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
		WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) == 0 {
		t.Fatal(len(tables), err)
	}
	out := map[string]string{}
	for _, table := range tables {
		var digest string
		if err := conn.QueryRow(t.Context(), `SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '')
			FROM `+table+` t`).Scan(&digest); err != nil {
			t.Fatal(err)
		}
		out[component+" "+table] = digest
	}
	return out
}

// write has the node write, and come to rest.
func (n *tenant) write(t *testing.T) {
	t.Helper()
	before, err := n.node.LedgerEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.node.Run(ctx, splicetest.Load{Rate: 100}) }()
	for now := before; now < before+5 && err == nil; now, err = n.node.LedgerEnd(t.Context()) {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
}

func (n *tenant) plan(t *testing.T, set holdfast.Set, o setup.RestoreOptions, r restore.Options) (restore.Target, restore.Plan, error) {
	t.Helper()
	target, _, err := n.RestoreTarget(t.Context(), o, set, nil)
	if err != nil {
		return target, restore.Plan{}, err
	}
	r.Unproven = n.unproven
	plan, err := restore.Make(t.Context(), target, set, r, time.Now())
	return target, plan, err
}

func (n *tenant) restore(t *testing.T, set holdfast.Set, o setup.RestoreOptions) (restore.Report, error) {
	t.Helper()
	target, plan, err := n.plan(t, set, o, restore.Options{})
	if err != nil {
		return restore.Report{}, err
	}
	report, err := restore.Apply(t.Context(), target, plan, set, nil, nil)
	if err == nil {
		report.Repoint, err = n.Repoint(t.Context(), target, report, false)
	}
	return report, err
}

func (n *tenant) undo(t *testing.T) error {
	t.Helper()
	target, history, err := n.UndoTarget(t.Context(), setup.RestoreOptions{})
	if err != nil {
		return err
	}
	plan, err := restore.MakeUndo(t.Context(), target, history, restore.UndoOptions{}, time.Now())
	if err != nil {
		return err
	}
	_, err = restore.Undo(t.Context(), target, history, plan, nil)
	return err
}

// clean removes what restores have left, and returns its names.
func (n *tenant) clean(t *testing.T) []string {
	t.Helper()
	target, history, err := n.CleanTarget(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := restore.Leftovers(t.Context(), target, history)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		names = append(names, l.Name)
	}
	if err := restore.Clean(t.Context(), target, history, names, restore.CleanOptions{}); err != nil {
		t.Error(err)
	}
	return names
}

// there are the resources of what is there, once nothing is being made or ended.
func (n *tenant) there() map[string]string {
	n.Settle()
	out := map[string]string{}
	for _, id := range n.Instances() {
		out[id] = n.Resource(id)
	}
	for _, id := range n.Clusters() {
		out[id] = n.ClusterResource(id)
	}
	return out
}

// servers are the names of instances that are of no cluster, and of clusters.
func (n *tenant) servers() []string {
	out := n.Clusters()
	for _, id := range n.Instances() {
		n.Change(id, func(i *rdsapi.Instance) {
			if i != nil && i.Cluster == "" {
				out = append(out, id)
			}
		})
	}
	return out
}

// labels are those of a server.
func (n *tenant) labels(id string) map[string]string {
	if slices.Contains(n.Clusters(), id) {
		return n.ClusterTags(id)
	}
	return n.Tags(id)
}

// port is where a server listens itself, whatever its name leads to.
func (n *tenant) port(id string) (port int) {
	if member := n.Writer(id); member != "" {
		id = member
	}
	n.Change(id, func(i *rdsapi.Instance) { port = i.Server.Port() })
	return port
}

// untouched says whether every instance has the name that it had, and there is no other.
func (n *tenant) untouched(t *testing.T, when string) {
	t.Helper()
	now := n.there()
	if !maps.Equal(now, n.was) {
		t.Errorf("%s the instances are %v, want %v", when, now, n.was)
	}
}

// A node on one instance.
func TestSnapshotsOfRDSComeBack(t *testing.T) {
	n := newTenant(t, false)
	n.write(t)
	then := n.rows(t, n.dsns)
	older := backedUp(t, n.Parts)
	n.write(t)
	live := n.rows(t, n.dsns)
	if maps.Equal(then, live) {
		t.Fatal("the node has written nothing since the backup")
	}
	t.Run("next to the live one, then in its place", func(t *testing.T) { n.comesBack(t, older, then, live) })
	t.Run("after a kill", func(t *testing.T) { n.survives(t, older, then, live, 3) })
	t.Run("or say why not", func(t *testing.T) { n.fails(t, older) })
	if splicetest.Long() {
		t.Run("and go again", func(t *testing.T) { n.rehearsed(t, older) })
		t.Run("when the live one is lost", func(t *testing.T) { n.replacesTheLost(t, older, then) })
	}
}

// A node on two instances.
func TestSnapshotsOfTwoInstancesComeBack(t *testing.T) {
	splicetest.OnlyLong(t)
	n := newTenant(t, true)
	n.write(t)
	then := n.rows(t, n.dsns)
	set := backedUp(t, n.Parts)
	n.write(t)
	live := n.rows(t, n.dsns)
	n.rehearsed(t, set)
	n.comesBack(t, set, then, live)
	n.survives(t, set, then, live, 6)
}

// rehearsed proves a set and removes what it made.
func (n *tenant) rehearsed(t *testing.T, set holdfast.Set) {
	target, plan, err := n.plan(t, set, setup.RestoreOptions{Rehearse: true}, restore.Options{OnlyProve: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restore.Apply(t.Context(), target, plan, set, nil, nil); err != nil {
		t.Fatal(err)
	}
	n.untouched(t, "after a rehearsal")
}

// comesBack restores a set row by row next to the live databases, then in their
// place, and back. The role of restores may do all of it, and is allowed nothing
// that is not asked for.
func (n *tenant) comesBack(t *testing.T, set holdfast.Set, then, live map[string]string) {
	allowed := rdsActions(t, "rds-restore.json")
	n.Allow(allowed)
	defer n.Allow(nil)
	// Next to the live ones.
	report, err := n.restore(t, set, setup.RestoreOptions{})
	if err != nil || report.Swapped {
		t.Fatal(report, err)
	}
	fresh := map[string]string{}
	for _, d := range report.Done {
		port := n.port(d.Instance)
		fresh[string(d.Component)] = atPort(t, n.dsns[string(d.Component)], port)
		if text := strings.Join(report.Repoint, "\n"); !strings.Contains(text, fmt.Sprintf("127.0.0.1:%d", port)) ||
			!strings.Contains(text, d.Instance) {
			t.Errorf("how to point %s at the new instance:\n%s", d.Component, text)
		}
		n.likeTheLive(t, d.Instance, n.labels(d.Instance)["holdfast-restore-of"], false)
	}
	if got := n.rows(t, fresh); !maps.Equal(got, then) {
		t.Errorf("the new instances have %v, want %v", got, then)
	}
	if got := n.rows(t, n.dsns); !maps.Equal(got, live) {
		t.Error("the live databases have changed")
	}
	if err := n.undo(t); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("an undo of what replaced nothing: %v", err)
	}

	// In their place: what is there is gone on with.
	made := len(n.Instances())
	target, plan, err := n.plan(t, set, setup.RestoreOptions{Rename: true}, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report, err = restore.Apply(t.Context(), target, plan, set, nil, nil); err != nil || !report.Swapped {
		t.Fatal(report, err)
	}
	if got := n.rows(t, n.dsns); !maps.Equal(got, then) {
		t.Errorf("the addresses lead to %v, want %v", got, then)
	}
	if now := n.there(); len(n.Instances()) != made || now["canton"] == n.was["canton"] {
		t.Errorf("the instances are %v", now)
	}
	target, history, err := n.CleanTarget(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range n.servers() { // nothing of it is deleted by name
		err := restore.Clean(t.Context(), target, history, []string{id}, restore.CleanOptions{})
		if holdfast.ClassOf(err) != holdfast.Refused {
			t.Errorf("clean %s: %v", id, err)
		}
	}

	// And back.
	if err := n.undo(t); err != nil {
		t.Fatal(err)
	}
	if got := n.rows(t, n.dsns); !maps.Equal(got, live) {
		t.Error("after the undo the addresses do not lead to what was live")
	}
	for _, c := range n.Calls() {
		allowed = slices.DeleteFunc(allowed, func(a string) bool { return a == "rds:"+c.Action })
	}
	// The first is needed where a snapshot is gone, the second for the tags of a
	// request, the third by clean.
	later := append([]string{"rds:DescribeDBClusterSnapshots", "rds:AddTagsToResource", "rds:DeleteDBInstance"}, ofClusters...)
	if len(n.Clusters()) > 0 {
		later = append([]string{"rds:AddTagsToResource", "rds:DeleteDBInstance", "rds:DeleteDBCluster"}, ofInstances...)
		if n.ClusterShape("canton").Class != "" { // a Multi-AZ one, whose members come with it
			later = append(later, "rds:CreateDBInstance")
		}
	}
	for _, later := range later {
		allowed = slices.DeleteFunc(allowed, func(a string) bool { return a == later })
	}
	if len(allowed) > 0 {
		t.Errorf("the policy allows what nothing asks for: %v", allowed)
	}
}

// mortal is the journal of a process that dies.
type mortal struct {
	restore.Journal
	dead *bool
}

func (m mortal) Write(log step.Log) error {
	if *m.dead {
		return errors.New("the process is dead")
	}
	return m.Journal.Write(log)
}

func (m mortal) End() error {
	if *m.dead {
		return errors.New("the process is dead")
	}
	return m.Journal.End()
}

// diesAt has the process die with the call of that number that changes something:
// before it arrives, or once it has. A dead one is allowed nothing more.
func (n *tenant) diesAt(number int, arrives bool) (dead *bool) {
	dead = new(bool)
	dying, seen := false, 0
	n.Watch(func(c rdsapi.Call) {
		if strings.HasPrefix(c.Action, "Describe") && !dying {
			return
		}
		if seen++; seen < number {
			return
		}
		if arrives && !dying {
			dying = true
			return
		}
		*dead = true
		n.Allow([]string{})
	})
	return dead
}

// killed runs a restore whose process dies with the call of that number that
// changes something: before it arrives, or once it has.
func (n *tenant) killed(t *testing.T, set holdfast.Set, number int, arrives bool) {
	t.Helper()
	target, plan, err := n.plan(t, set, setup.RestoreOptions{Rename: true}, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dead := n.diesAt(number, arrives)
	target.Journal = mortal{target.Journal, dead}
	_, err = restore.Apply(t.Context(), target, plan, set, nil, nil)
	n.Watch(nil)
	n.Allow(nil)
	if !*dead || err == nil {
		t.Fatalf("call %d: the process did not die: %v", number, err)
	}
	n.Settle()
}

// survives kills restores at calls that change something. What is there has a name:
// the next run goes on with it, and an undo gives everything back.
func (n *tenant) survives(t *testing.T, set holdfast.Set, then, live map[string]string, calls int) {
	if !splicetest.Long() {
		calls = 1 // the first rename: what comesBack has made is there
	} else {
		n.clean(t)
	}
	for number := 1; number <= calls; number++ {
		for _, arrives := range []bool{true, false} {
			for _, undone := range []bool{false, true} {
				if !splicetest.Long() && (!arrives || undone) {
					continue
				}
				n.killed(t, set, number, arrives)
				what := fmt.Sprintf("killed at call %d (arrives %v), then undone %v:", number, arrives, undone)
				for _, id := range n.Instances() {
					if _, known := n.was[id]; !known && !strings.HasPrefix(id, "holdfast-") {
						t.Errorf("%s there is %s", what, id)
					}
				}
				if !undone {
					if _, err := n.restore(t, set, setup.RestoreOptions{Rename: true}); err != nil {
						t.Fatalf("%s %v", what, err)
					}
					if got := n.rows(t, n.dsns); !maps.Equal(got, then) {
						t.Errorf("%s the addresses do not lead to the set", what)
					}
				}
				if err := n.undo(t); err != nil {
					t.Fatalf("%s %v", what, err)
				}
				if !undone {
					n.clean(t)
				}
				n.untouched(t, what)
				if got := n.rows(t, n.dsns); !maps.Equal(got, live) {
					t.Fatalf("%s the addresses do not lead to what was live", what)
				}
			}
		}
	}
}

// fails has restores stopped by what may be in the way: it is named, with what to
// do, and the live instance stays as it is.
func (n *tenant) fails(t *testing.T, set holdfast.Set) {
	if err := n.Strange("of-today", "canton", nil); err != nil {
		t.Fatal(err)
	}
	n.clean(t)
	for _, c := range []struct {
		name    string
		lies    rdsapi.Lies
		class   holdfast.Class
		says    string
		remains bool // the instance is kept
		long    bool
	}{
		{"no room", rdsapi.Lies{InstanceQuota: 1}, holdfast.NoSpace, "have the quota raised", false, false},
		{"no such class", rdsapi.Lies{NoClass: []string{"db.t4g.medium"}}, holdfast.Refused, "class db.t4g.medium", false, false},
		{"no right to make one", rdsapi.Lies{Denied: []string{"RestoreDBInstanceFromDBSnapshot"}}, holdfast.WrongKey,
			"rds:RestoreDBInstanceFromDBSnapshot: compare its policy with docs/policies/rds-restore.json", false, false},
		{"given up", rdsapi.Lies{FailRestores: true}, holdfast.Failed, "incompatible-restore", true, false},
		{"another moment", rdsapi.Lies{RestoreOther: "of-today"}, holdfast.NotProven, "newer than the reading", false, false},
		{"no right to rename", rdsapi.Lies{
			Denied:      []string{"ModifyDBInstance"},
			LoseAnswers: map[string]int{"RestoreDBInstanceFromDBSnapshot": 1},
		}, holdfast.WrongKey, "rds:ModifyDBInstance", true, true},
		{"lost answers", rdsapi.Lies{LoseAnswers: map[string]int{"ModifyDBInstance": 1}}, "", "", true, true},
	} {
		if c.long && !splicetest.Long() {
			continue
		}
		n.Lie(c.lies)
		_, err := n.restore(t, set, setup.RestoreOptions{Rename: true})
		why, do := holdfast.Advice(err)
		if text := fmt.Sprint(err, why, do); holdfast.ClassOf(err) != c.class || !strings.Contains(text, c.says) {
			t.Errorf("%s: %q: %s", c.name, holdfast.ClassOf(err), text)
		}
		n.Lie(rdsapi.Lies{})
		if err == nil {
			if err := n.undo(t); err != nil {
				t.Fatal(c.name, err)
			}
		}
		n.Settle()
		if c.name == "no right to rename" { // what it has made is gone on with
			continue
		}
		if names := n.clean(t); c.remains != (len(names) > 0) {
			t.Errorf("%s: %v remained", c.name, names)
		}
		n.untouched(t, "after "+c.name)
	}

	// To another place there is no way.
	o := setup.RestoreOptions{To: []string{"participant=" + n.dsns["participant"]}, Only: []holdfast.ComponentName{"participant"}}
	if _, _, err := n.plan(t, set, o, restore.Options{Components: o.Only}); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("--to: %v", err)
	}
}

// replacesTheLost restores an instance that is lost: it comes back as the set
// recorded it. A set whose snapshot is lost is refused.
func (n *tenant) replacesTheLost(t *testing.T, set holdfast.Set, then map[string]string) {
	shape := n.Shape("canton")
	n.Lose("canton")
	_, plan, err := n.plan(t, set, setup.RestoreOptions{Rename: true}, restore.Options{})
	if err != nil || !slices.ContainsFunc(plan.Warnings, func(w string) bool {
		return strings.Contains(w, "instance canton does not exist; the new one is set up as the set recorded")
	}) {
		t.Fatalf("%v, %v", plan.Warnings, err)
	}
	if _, err := n.restore(t, set, setup.RestoreOptions{Rename: true}); err != nil {
		t.Fatal(err)
	}
	if got := n.rows(t, n.dsns); !maps.Equal(got, then) {
		t.Errorf("the address leads to %v, want %v", got, then)
	}
	if n.Shape("canton") != shape {
		t.Errorf("it is set up as %+v, want %+v", n.Shape("canton"), shape)
	}

	ids := n.Snapshots()
	n.Discard(ids[0])
	if _, _, err := n.plan(t, set, setup.RestoreOptions{}, restore.Options{}); holdfast.ClassOf(err) != holdfast.Refused ||
		!strings.Contains(err.Error(), ids[0]+" of participant, kept by rds eu-central-1, does not exist any more") {
		t.Errorf("a snapshot that is gone: %v", err)
	}
}
