package setup_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/check"
	"holdfast/config"
	"holdfast/content"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/rdsapi"
	"holdfast/repository"
	"holdfast/setup"
)

// rented is a node whose databases are captured by snapshots of RDS.
func rented(t *testing.T, account *rdsapi.Account, node *splicetest.Node, ofValidator, ofParticipant string) *setup.Parts {
	t.Helper()
	dsns := map[string]string{"validator": node.ValidatorDSN(), "participant": node.ParticipantDSN()}
	return rentedAt(t, account, dsns, ofValidator, ofParticipant)
}

// rentedAt is such a node whose databases are at those addresses.
func rentedAt(
	t *testing.T, account *rdsapi.Account, dsns map[string]string, ofValidator, ofParticipant string,
) *setup.Parts {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": rdsapi.Key, "AWS_SECRET_ACCESS_KEY": rdsapi.Secret, "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
		"PASSWORD_OF_REPOSITORY": "of-the-repository",
	} {
		t.Setenv(name, value)
	}
	text := `node: demo
databases:
  validator: {connection: '` + dsns["validator"] + `', method: rds, rds: {instance: ` + ofValidator + `}}
  participant: {connection: '` + dsns["participant"] + `', method: rds, rds: {instance: ` + ofParticipant + `}}
rds: {region: ` + rdsapi.Region + `, endpoint: '` + account.URL + `', poll: 10ms, within: 1m}
repository: {path: repository, password: env:PASSWORD_OF_REPOSITORY}
`
	conf, err := config.Parse(filepath.Join(t.TempDir(), "holdfast.yaml"), []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := setup.Open(conf, setup.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	password, err := p.Password(t.Context())
	if err == nil {
		err = repository.Create(t.Context(), conf.Repository.Place, password)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func backedUp(t *testing.T, p *setup.Parts) holdfast.Set {
	t.Helper()
	var set holdfast.Set
	err := p.Backup(t.Context(), 0, func(ctx context.Context, job backup.Job) (err error) {
		set, err = job.Run(ctx)
		return err
	})
	if err != nil || set.State != holdfast.Proven {
		t.Fatalf("the set is %s: %v, %v", set.State, err, set.Problems())
	}
	return set
}

// A backup by RDS makes a set of references, read back from the repository.
// Retention deletes its snapshots with it, and no others.
func TestSnapshotsOfRDS(t *testing.T) {
	for _, c := range []struct {
		name           string
		two            bool
		onValidator    string
		captures       int
		clock, content holdfast.Verdict
	}{
		{"one instance", false, "canton", 1, holdfast.Holds, ""},
		{"two instances", true, "apps", 2, holdfast.Holds, holdfast.Holds},
	} {
		t.Run(c.name, func(t *testing.T) {
			node := splicetest.NewNode(t, splicetest.NodeOptions{TwoInstances: c.two, TCP: true})
			instances := []rdsapi.Instance{{ID: "canton", Server: node.Participant}}
			if c.two {
				instances = append(instances, rdsapi.Instance{ID: "apps", Server: node.Validator})
			}
			account := rdsapi.New(t, instances...)
			p := rented(t, account, node, c.onValidator, "canton")
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- node.Run(ctx, splicetest.Load{Rate: 50}) }()
			defer func() { stop(); <-ended }()

			var sets []holdfast.Set
			for range 3 {
				sets = append(sets, backedUp(t, p))
			}
			for _, taken := range sets {
				found, _, err := p.Find(t.Context(), string(taken.ID))
				if err != nil {
					t.Fatal(err)
				}
				edge := found.Order.Edges[0]
				if len(found.Captures) != c.captures || edge.Clock.Verdict != c.clock ||
					c.content != "" && edge.Content.Verdict != c.content || len(found.Problems()) > 0 {
					t.Errorf("set %s: %d captures, %+v, %v", found.ID, len(found.Captures), edge, found.Problems())
				}
				if first := found.Captures[0].Components[0].Component; first != "validator" && c.two {
					t.Errorf("the first capture is %s", first)
				}
				for _, part := range found.Parts() {
					if r, ok := part.Content.(content.Reference); !ok || !slices.Contains(account.Snapshots(), r.ID) ||
						len(r.Evidence) == 0 {
						t.Errorf("%s refers to %+v", part.Component, part.Content)
					}
				}
			}

			if err := account.Strange("nightly", "canton", nil); err != nil {
				t.Fatal(err)
			}
			job, err := p.Retention(t.Context(), setup.RetentionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			before := len(account.Snapshots())
			if _, err := job.ApplyTo(t.Context(), true, sets[0].ID); err != nil {
				t.Fatal(err)
			}
			left := account.Snapshots()
			for _, capture := range sets[0].Captures {
				if slices.Contains(left, capture.Content.(content.Reference).ID) {
					t.Errorf("%v is left", capture.Content)
				}
			}
			if !slices.Contains(left, "nightly") || len(left) != before-c.captures {
				t.Errorf("%v are left of %d", left, before)
			}
		})
	}
}

// A backup that the account has no room for fails before anything is taken.
func TestAFullAccountIsFoundBeforeTheRun(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{TCP: true})
	account := rdsapi.New(t, rdsapi.Instance{ID: "canton", Server: node.Participant})
	if err := account.Strange("nightly", "canton", nil); err != nil {
		t.Fatal(err)
	}
	account.Lie(rdsapi.Lies{Quota: 1})
	p := rented(t, account, node, "canton", "canton")
	err := p.Backup(t.Context(), 0, func(ctx context.Context, job backup.Job) error {
		_, err := job.Plan(ctx)
		return err
	})
	if holdfast.ClassOf(err) != holdfast.NoSpace {
		t.Errorf("a full account: %v", err)
	}
}

// A trial of the configuration says how much room an account has, and whether an
// instance can be deleted by one call.
func TestWhatATrialSaysOfRDS(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{TCP: true})
	account := rdsapi.New(t, rdsapi.Instance{ID: "canton", Server: node.Participant})
	p := rented(t, account, node, "canton", "canton")
	for _, c := range []struct {
		quota         int
		protect       bool
		room, deleted holdfast.Verdict
	}{
		{100, true, holdfast.Holds, holdfast.Holds},
		{11, true, holdfast.Violated, holdfast.Holds},
		{12, false, holdfast.Holds, holdfast.Violated},
	} {
		account.Lie(rdsapi.Lies{Quota: c.quota})
		account.Change("canton", func(i *rdsapi.Instance) { i.Protect = c.protect })
		got := map[string]holdfast.Verdict{}
		for _, f := range p.Try(t.Context()) {
			got[f.Subject] = f.Verdict
		}
		if got["canton, room for snapshots"] != c.room || got["canton, deletion protection"] != c.deleted ||
			got["participant"] != holdfast.Holds {
			t.Errorf("quota %d, protected %v: %v", c.quota, c.protect, got)
		}
	}
}

// The policies of docs/policies are enough for a backup and for retention, and
// name nothing that is not asked for.
func TestPoliciesOfRDS(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{TCP: true})
	const forgotten = "holdfast-lift-20260101t000000z-00000001-canton"
	const ofCluster = "holdfast-lift-20260101t000000z-00000002-aurora"
	account := rdsapi.New(t, rdsapi.Instance{ID: "canton", Server: node.Participant}, rdsapi.Instance{ID: forgotten},
		rdsapi.Instance{ID: "member", Cluster: ofCluster, Engine: rdsapi.Aurora})
	for id, labels := range map[string][2]string{
		forgotten: {"20260101T000000Z-00000001", "canton"}, "member": {"20260101T000000Z-00000002", "aurora"},
	} {
		account.Tag(id, map[string]string{
			"holdfast-lift-node": "demo", "holdfast-lift-set": labels[0], "holdfast-lift-of": labels[1],
			"holdfast-lift-from": "holdfast-" + strings.ToLower(labels[0]) + "-canton", "holdfast-lift-until": "2026-01-02T00:00:00Z",
		})
	}
	p := rented(t, account, node, "canton", "canton")
	takes, retains := rdsActions(t, "rds-backup.json"), rdsActions(t, "rds-retention.json")

	account.Allow(takes)
	set, _ := backedUp(t, p), backedUp(t, p) // the newest is not dropped
	job, err := p.Retention(t.Context(), setup.RetentionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := job.ApplyTo(t.Context(), true, set.ID); holdfast.ClassOf(err) != holdfast.WrongKey {
		t.Errorf("the role of backups deletes: %v", err)
	}
	account.Allow(retains)
	if _, err := job.Apply(t.Context(), true); err != nil {
		t.Error(err)
	}
	if left := account.Snapshots(); len(left) != 1 {
		t.Errorf("%v are left, want that of the newest set", left)
	}
	account.Settle()
	if left := slices.Concat(account.Instances(), account.Clusters()); len(left) != 1 {
		t.Errorf("there are %v: a temporary one is left", left)
	}

	// Of a cluster as well.
	account.Allow(nil)
	account.Change("canton", func(i *rdsapi.Instance) { i.Cluster, i.Engine = "aurora", "aurora-postgresql" })
	account.Allow(takes)
	set, _ = backedUp(t, p), backedUp(t, p)
	account.Allow(retains)
	if _, err := job.ApplyTo(t.Context(), true, set.ID); err != nil {
		t.Error(err)
	}
	var asked []string
	for _, c := range account.Calls() {
		asked = append(asked, "rds:"+c.Action)
	}
	// RDS asks for this right where a request has tags; nothing calls it.
	asked = append(asked, "rds:AddTagsToResource")
	for _, action := range slices.Concat(takes, retains) {
		if !slices.Contains(asked, action) {
			t.Errorf("a policy allows %s, which nothing asks for", action)
		}
	}
}

func rdsActions(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "policies", file))
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Statement []struct{ Action []string }
	}
	if err := json.Unmarshal(text, &policy); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range policy.Statement {
		out = append(out, s.Action...)
	}
	return out
}

// The databases of a node whose snapshots RDS takes are dumped as well: at first, and
// when the last dump is old. Its set is drilled as any other, and check says what
// stands between the node and the loss of the account.
func TestRowsOfRDSComeIntoTheRepository(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{TCP: true})
	account := rdsapi.New(t, rdsapi.Instance{ID: "canton", Server: node.Participant})
	p := rented(t, account, node, "canton", "canton")
	p.Config.RDS.RowsFrom = config.RowsFromLive
	judged := func(code check.Code) check.Condition {
		t.Helper()
		seen, err := p.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return check.Make(seen, time.Now()).Only(code).Conditions[0]
	}
	backedUp(t, p)
	if c := judged(check.RowsInRepository); c.Verdict != holdfast.Violated {
		t.Errorf("snapshots alone: %+v", c)
	}
	if c := judged(check.ProviderKeepsSnapshots); c.Verdict != holdfast.Violated || !strings.Contains(c.Evidence, "protection of canton is off") {
		t.Errorf("the instance: %+v", c)
	}
	tools := p.Config.Tools
	p.Config.Tools = t.TempDir() // without pg_dump no dump succeeds, and a snapshot is taken all the same
	if err := setup.TakeSet(t.Context(), p); err != nil {
		t.Errorf("a dump that fails: %v", err)
	}
	p.Config.Tools = tools
	for _, due := range []bool{true, false} {
		if got, err := setup.RowsDue(t.Context(), p); err != nil || got != due {
			t.Errorf("a dump is due: %t, %v; want %t", got, err, due)
		}
		if err := setup.TakeSet(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	r, err := p.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.Manifests(t.Context(), "demo")
	if err != nil || len(list) != 4 {
		t.Fatalf("%d sets, %v", len(list), err)
	}
	for n, elsewhere := range []bool{true, true, false, true} {
		if s := list[n].Set; s.State != holdfast.Proven || s.KeptElsewhere() != elsewhere {
			t.Errorf("set %d is %s, and kept elsewhere: %t", n, s.State, s.KeptElsewhere())
		}
	}
	if c := judged(check.RowsInRepository); c.Verdict != holdfast.Holds {
		t.Errorf("after a dump: %+v", c)
	}
	account.Change("canton", func(i *rdsapi.Instance) { i.Protect = true })
	if c := judged(check.ProviderKeepsSnapshots); c.Verdict != holdfast.Holds {
		t.Errorf("a protected instance: %+v", c)
	}
	account.Discard(account.Snapshots()[0])
	if c := judged(check.ProviderKeepsSnapshots); c.Verdict != holdfast.Violated ||
		!strings.Contains(c.Evidence, "snapshots of 1 set any more: "+string(list[0].Set.ID)) {
		t.Errorf("a snapshot that is gone: %+v", c)
	}
}
