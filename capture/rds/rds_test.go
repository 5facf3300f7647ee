package rds_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/capture/postgres"
	"holdfast/capture/rds"
	"holdfast/capture/snapshot"
	"holdfast/content"
	"holdfast/event"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/rdsapi"
)

const nodeName = holdfast.NodeName("demo")

// world is a node under load on instances of an account.
type world struct {
	*rdsapi.Account

	node  *splicetest.Node
	rds   rds.Account
	clock holdfast.Clock
	heard []event.Event
}

func newWorld(t *testing.T, options splicetest.NodeOptions, more ...rdsapi.Instance) *world {
	t.Helper()
	options.TCP = true
	w := &world{node: splicetest.NewNode(t, options)}
	instances := []rdsapi.Instance{{ID: "canton", Server: w.node.Participant, Protect: true, Retain: 7}}
	if options.TwoInstances {
		instances = append(instances, rdsapi.Instance{ID: "apps", Server: w.node.Validator, MultiAZ: true})
	}
	w.Account = rdsapi.New(t, append(instances, more...)...)
	w.rds = opened(t, w.URL)
	began := time.Now()
	w.clock = func() holdfast.Moment {
		return holdfast.Moment{Wall: time.Now().UTC(), Since: time.Since(began)}
	}
	return w
}

func opened(t *testing.T, url string) rds.Account {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", rdsapi.Key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", rdsapi.Secret)
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	a, err := rds.Open(t.Context(), rds.Options{Region: rdsapi.Region, Endpoint: url})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// load has the node written to until the test ends.
func (w *world) load(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- w.node.Run(ctx, splicetest.Load{Rate: 100, IngestDelay: 5 * time.Millisecond, Reconnect: true})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	time.Sleep(100 * time.Millisecond)
}

var (
	validator   = holdfast.Component{Name: "validator", Kind: holdfast.Validator}
	participant = holdfast.Component{Name: "participant", Kind: holdfast.Participant}
)

func live(t *testing.T, dsn string) postgres.Live {
	t.Helper()
	info, err := libpq.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return postgres.Live{
		Address: libpq.Address{Conninfo: info},
		Facts: func(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error) {
			return canton.Read(ctx, tx, kind)
		},
	}
}

func (w *world) source(t *testing.T, instance string, components ...holdfast.Component) snapshot.Source {
	t.Helper()
	keeper, err := w.rds.Find(t.Context(), instance)
	if err != nil {
		t.Fatal(err)
	}
	s := snapshot.Source{Keeper: keeper, Node: nodeName, Options: snapshot.Options{
		Poll: 5 * time.Millisecond, Await: time.Second, Within: 20 * time.Second,
		Events: func(e event.Event) { w.heard = append(w.heard, e) },
	}}
	for _, c := range components {
		dsn := w.node.ValidatorDSN()
		if c.Kind == holdfast.Participant {
			dsn = w.node.ParticipantDSN()
		}
		s.Members = append(s.Members, snapshot.Member{Component: c, Live: live(t, dsn)})
	}
	return s
}

func newSet() holdfast.SetID {
	var random [4]byte
	_, _ = rand.Read(random[:])
	return holdfast.NewSetID(time.Now(), random)
}

func (w *world) take(t *testing.T, set holdfast.SetID, s snapshot.Source) (holdfast.Capture, error) {
	t.Helper()
	return s.Capture(t.Context(), s.Members[0].Component, w.clock, nil, holdfast.Earlier{For: set})
}

// proven is the set of captures, with its proof made.
func proven(captures ...holdfast.Capture) holdfast.Set {
	s := holdfast.Set{
		Schema: holdfast.ManifestSchema, ID: newSet(), Captures: captures,
		Node: holdfast.Node{Name: nodeName, Components: []holdfast.Component{validator, participant}},
	}
	s.Prove()
	return s
}

// within opens what a snapshot really has and compares it with the readings
// around it: the true offset and ledger end have to lie between them.
func (w *world) within(t *testing.T, c holdfast.Capture) error {
	t.Helper()
	server, err := w.Open(t.Context(), c.Content.(content.Reference).ID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	for _, of := range c.Components {
		dsn := server.DSNAs(splicetest.DatabaseOwner, of.Database.Name)
		got, err := live(t, dsn).Read(t.Context(), holdfast.Component{Name: of.Component, Kind: of.Kind})
		if err != nil {
			return err
		}
		if err := snapshot.Within(of, got.Facts); err != nil {
			return err
		}
	}
	return nil
}

// One instance with both databases is one snapshot, and a set of two instances is
// in order under load, set after set.
func TestSetsInARow(t *testing.T) {
	sets := 3
	if splicetest.Long() {
		sets = 50
	}
	t.Run("one instance", func(t *testing.T) {
		w := newWorld(t, splicetest.NodeOptions{})
		w.load(t)
		for range sets {
			c, err := w.take(t, newSet(), w.source(t, "canton", validator, participant))
			if err != nil {
				t.Fatal(err)
			}
			if s := proven(c); s.State != holdfast.Proven || len(c.Components) != 2 {
				t.Fatalf("the set is %s: %v", s.State, s.Problems())
			}
			if err := w.within(t, c); err != nil {
				t.Error(err)
			}
			w.drop(t, c)
		}
	})
	t.Run("two instances", func(t *testing.T) {
		w := newWorld(t, splicetest.NodeOptions{TwoInstances: true})
		w.load(t)
		for range sets {
			set := newSet()
			v, err := w.take(t, set, w.source(t, "apps", validator))
			if err != nil {
				t.Fatal(err)
			}
			p, err := w.take(t, set, w.source(t, "canton", participant))
			if err != nil {
				t.Fatal(err)
			}
			s := proven(v, p)
			if s.State != holdfast.Proven || s.Order.Edges[0].Content.Verdict != holdfast.Holds {
				t.Fatalf("the set is %s: %v", s.State, s.Problems())
			}
			if backwards := proven(p, v); backwards.Order.Verdict == holdfast.Holds && p.Began.Since > v.Ended.Since {
				s.Captures = []holdfast.Capture{v, p}
			}
			for _, c := range s.Captures {
				if err := w.within(t, c); err != nil {
					t.Error(err)
				}
				w.drop(t, c)
			}
		}
	})
}

func (w *world) drop(t *testing.T, c holdfast.Capture) {
	t.Helper()
	r := c.Content.(content.Reference)
	source, err := w.rds.Find(t.Context(), r.Source)
	if err == nil {
		err = source.Delete(t.Context(), r.ID)
	}
	if err != nil {
		t.Error(err)
	}
}

// The participant captured first is out of order, and the set says so.
func TestTheParticipantFirstIsMisordered(t *testing.T) {
	w := newWorld(t, splicetest.NodeOptions{TwoInstances: true})
	w.load(t)
	set := newSet()
	p, err := w.take(t, set, w.source(t, "canton", participant))
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.take(t, set, w.source(t, "apps", validator))
	if err != nil {
		t.Fatal(err)
	}
	if s := proven(p, v); s.State != holdfast.Misordered {
		t.Errorf("the set is %s", s.State)
	}
}

// Lies that the fields of the answers show end the capture.
func TestLiesThatShow(t *testing.T) {
	other := splicetest.NewServerWith(t, splicetest.Options{TCP: true})
	w := newWorld(t, splicetest.NodeOptions{}, rdsapi.Instance{ID: "other", Server: other})
	w.load(t)
	for _, c := range splicetest.Some(6, []struct {
		name string
		lies rdsapi.Lies
		says string
	}{
		{"ready too early", rdsapi.Lies{ReadyEarly: true, Late: 4 * time.Second}, "was said to be ready at"},
		{"older than asked", rdsapi.Lies{Stale: "old"}, "has newer ones from before the request"},
		{"of another instance", rdsapi.Lies{OtherContent: "other", OtherFields: true}, "it is of other"},
		{"vanishes as it is ready", rdsapi.Lies{VanishAfter: 1}, "vanished"},
		{"times of a copy", rdsapi.Lies{CopiedTimes: true}, "before it was requested"},
		{"a clock ten minutes ahead", rdsapi.Lies{Skew: 10 * time.Minute}, "after it was ready"},
		{"a clock ten minutes behind", rdsapi.Lies{Skew: -10 * time.Minute}, "before it was requested"},
		{"the quota", rdsapi.Lies{Quota: 1}, "1 of 1 manual snapshots"},
		{"the quota, at the request", rdsapi.Lies{Quota: 1, QuotaHidden: true}, "SnapshotQuotaExceeded"},
		{"maintenance", rdsapi.Lies{Maintenance: 100000}, "it is maintenance"},
		{"it fails", rdsapi.Lies{FailSnapshots: true}, "is failed"},
		{"a right is missing", rdsapi.Lies{Denied: []string{"CreateDBSnapshot"}}, "AccessDenied"},
	}...) {
		t.Run(c.name, func(t *testing.T) {
			w.Lie(rdsapi.Lies{})
			for _, id := range w.Snapshots() {
				if err := (rds.Instance{Account: w.rds}).Delete(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Strange("old", "canton", nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second) // more than clocks are compared to
			w.Lie(c.lies)
			_, err := w.take(t, newSet(), w.source(t, "canton", validator, participant))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the capture said %v, want %q", err, c.says)
			}
			w.Lie(rdsapi.Lies{})
			w.settled()
		})
	}
}

// settled waits until no snapshot is being made.
func (w *world) settled() { w.Settle() }

// What no field shows is found by whoever looks into the snapshot.
func TestLiesThatOnlyARestoreShows(t *testing.T) {
	stranger := splicetest.NewNode(t, splicetest.NodeOptions{Hint: "stranger-validator-1"})
	w := newWorld(t, splicetest.NodeOptions{}, rdsapi.Instance{ID: "other", Server: stranger.Participant})
	if err := w.Strange("old", "canton", nil); err != nil {
		t.Fatal(err)
	}
	w.load(t)
	time.Sleep(200 * time.Millisecond)
	for _, c := range []struct {
		name string
		lies rdsapi.Lies
		says string
	}{
		{"ready too early", rdsapi.Lies{ReadyEarly: true, Late: time.Second, ForgeTime: true}, "newer than the reading"},
		{"older than asked", rdsapi.Lies{Stale: "old", ForgeTime: true}, "older than the reading"},
		{"of another node", rdsapi.Lies{OtherContent: "other"}, "older than the reading"},
		{"the truth", rdsapi.Lies{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Lie(c.lies)
			got, err := w.take(t, newSet(), w.source(t, "canton", validator, participant))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(c.lies.Late + 500*time.Millisecond)
			err = w.within(t, got)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("looking into it said %v, want %q", err, c.says)
			}
		})
	}
}

// What a keeper's clock says within the bounds of signed requests decides nothing,
// and a missing field is no proof and no doubt.
func TestWhatDecidesNothing(t *testing.T) {
	w := newWorld(t, splicetest.NodeOptions{})
	w.load(t)
	for _, lies := range []rdsapi.Lies{
		{Skew: 4 * time.Minute}, {Skew: -4 * time.Minute}, {HideTime: true}, {Maintenance: 3}, {BusyRequests: 2},
	} {
		w.Lie(lies)
		c, err := w.take(t, newSet(), w.source(t, "canton", validator, participant))
		if err != nil {
			t.Fatalf("%+v: %v", lies, err)
		}
		if s := proven(c); s.State != holdfast.Proven {
			t.Errorf("%+v: the set is %s: %v", lies, s.State, s.Problems())
		}
		for _, e := range c.Content.(content.Reference).Evidence {
			if e.From == "" || e.What == "" {
				t.Errorf("evidence without a witness: %+v", e)
			}
		}
	}
}

// A failover between the readings breaks the bracket: the set is not proven.
func TestAFailoverBetweenTheReadings(t *testing.T) {
	w := newWorld(t, splicetest.NodeOptions{})
	s := w.source(t, "canton", validator, participant)
	s.Options.Poll = 50 * time.Millisecond
	once := false
	w.Watch(func(c rdsapi.Call) {
		if c.Action == "DescribeDBSnapshots" && !once {
			once = true
			if err := w.node.Participant.Restart(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	c, err := w.take(t, newSet(), s)
	if err != nil {
		t.Fatal(err)
	}
	set := proven(c)
	if set.State != holdfast.Unproven || !strings.Contains(set.Problems()[0].What, "server's start was") {
		t.Errorf("the set is %s: %v", set.State, set.Problems())
	}
}

// An instance that is not the one behind the connection is refused, before
// anything is requested.
func TestTheWrongInstanceIsRefused(t *testing.T) {
	t.Setenv("HOLDFAST_TEST_MASTERS", "")
	w := newWorld(t, splicetest.NodeOptions{TwoInstances: true})
	_, err := w.take(t, newSet(), w.source(t, "apps", participant))
	if err == nil || !strings.Contains(err.Error(), "canton-apps") && !strings.Contains(err.Error(), "participant") {
		t.Errorf("the wrong instance: %v", err)
	}
	if _, err = w.take(t, newSet(), w.source(t, "canton", participant, validator)); err == nil ||
		!strings.Contains(err.Error(), "are not on one server") {
		t.Errorf("databases of two instances: %v", err)
	}
	if names := w.Snapshots(); len(names) > 0 {
		t.Errorf("there are snapshots %v", names)
	}
}

// A request whose answer is lost is not made twice: the snapshot is adopted. One
// that was lost itself is made again.
func TestLostAnswers(t *testing.T) {
	w := newWorld(t, splicetest.NodeOptions{})
	for _, c := range []struct {
		lies    rdsapi.Lies
		adopted bool
	}{
		{rdsapi.Lies{LoseAnswers: map[string]int{"CreateDBSnapshot": 1}}, true},
		{rdsapi.Lies{LoseAnswers: map[string]int{"CreateDBSnapshot": 9}}, true},
		{rdsapi.Lies{LoseRequests: map[string]int{"CreateDBSnapshot": 4}}, false},
		{rdsapi.Lies{LoseAnswers: map[string]int{"DescribeDBSnapshots": 2}}, false},
	} {
		w.Lie(c.lies)
		before := len(w.Snapshots())
		got, err := w.take(t, newSet(), w.source(t, "canton", validator, participant))
		if err != nil {
			t.Fatalf("%+v: %v", c.lies, err)
		}
		adopted := slices.ContainsFunc(got.Content.(content.Reference).Evidence, func(e content.Evidence) bool {
			return strings.Contains(e.What, "an answer was lost")
		})
		if now := len(w.Snapshots()); now != before+1 || adopted != c.adopted {
			t.Errorf("%+v: %d snapshots after %d, adopted: %v", c.lies, now, before, adopted)
		}
	}
}

// A run that is killed at any request leaves nothing that the sweep does not find,
// and the sweep leaves what others have.
func TestKilledAtEachStep(t *testing.T) {
	w := newWorld(t, splicetest.NodeOptions{})
	kept := newSet()
	if _, err := w.take(t, kept, w.source(t, "canton", validator, participant)); err != nil {
		t.Fatal(err)
	}
	orphan := newSet()
	for id, tags := range map[string]map[string]string{
		"nightly":          nil,
		"holdfast-by-hand": {"holdfast-node": "demo", "holdfast-set": string(orphan), "holdfast-server": "canton"},
		snapshot.Name(orphan, "canton"): {"holdfast-node": "another", "holdfast-set": string(orphan),
			"holdfast-server": "canton"},
	} {
		if err := w.Strange(id, "canton", tags); err != nil {
			t.Fatal(err)
		}
	}
	others := w.Snapshots()
	slices.Sort(others)
	finished, stride := false, 3
	if splicetest.Long() {
		stride = 1
	}
	for step := 1; !finished; step += stride {
		ctx, kill := context.WithCancel(t.Context())
		seen := 0
		w.Watch(func(rdsapi.Call) {
			if seen++; seen == step {
				kill()
			}
		})
		s := w.source(t, "canton", validator, participant)
		_, err := s.Capture(ctx, validator, w.clock, nil, holdfast.Earlier{For: newSet()})
		kill()
		w.Watch(nil)
		if finished = err == nil; finished && step < 7 {
			t.Fatalf("it was over after %d requests", step)
		}
		w.settled()
		shelf := rds.Instance{Account: w.rds, ID: "canton"}
		all, err := shelf.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		known := snapshot.Sets{There: map[holdfast.SetID]bool{kept: true}}
		if _, err := snapshot.Sweep(t.Context(), shelf, snapshot.Decide(all, nodeName, known, time.Now())); err != nil {
			t.Fatal(err)
		}
		if young, err := shelf.List(t.Context()); err != nil || len(young) != len(all) {
			t.Errorf("step %d: the sweep deleted what a run may still be making", step)
		}
		later := time.Now().Add(snapshot.Grace + time.Minute)
		if _, err := snapshot.Sweep(t.Context(), shelf, snapshot.Decide(all, nodeName, known, later)); err != nil {
			t.Fatal(err)
		}
		left := w.Snapshots()
		slices.Sort(left)
		if !slices.Equal(left, others) {
			t.Fatalf("step %d: %v are left, want %v", step, left, others)
		}
	}
}

// Aurora and Multi-AZ clusters are distinguished from instances, whose request RDS refuses.
// What may lag is not proven.
func TestClusters(t *testing.T) {
	w := newWorld(t, splicetest.NodeOptions{})
	for _, c := range []struct {
		engine, id string
		state      holdfast.State
	}{
		{"aurora-postgresql", "canton", holdfast.Proven},
		{"aurora-postgresql", "cluster-of-canton", holdfast.Proven},
		{"postgres", "canton", holdfast.Unproven},
	} {
		w.Change("canton", func(i *rdsapi.Instance) { i.Cluster, i.Engine = "cluster-of-canton", c.engine })
		got, err := w.take(t, newSet(), w.source(t, c.id, validator, participant))
		if err != nil {
			t.Fatal(err)
		}
		if s := proven(got); s.State != c.state {
			t.Errorf("%s: the set is %s: %v", c.engine, s.State, s.Problems())
		}
		if err := w.within(t, got); err != nil {
			t.Error(err)
		}
		w.drop(t, got)
	}
	if _, err := w.rds.Find(t.Context(), "nobody"); holdfast.ClassOf(err) != holdfast.Usage {
		t.Errorf("an unknown name: %v", err)
	}
	w.Change("canton", func(i *rdsapi.Instance) { i.Cluster, i.Engine, i.Replica = "", "postgres", "primary" })
	w.Lie(rdsapi.Lies{HideTime: true})
	got, err := w.take(t, newSet(), w.source(t, "canton", validator, participant))
	if err != nil {
		t.Fatal(err)
	}
	if s := proven(got); s.State != holdfast.Unproven {
		t.Errorf("of a replica: the set is %s", s.State)
	}
}

// A standby says nothing of what its primary has.
func TestAStandbyIsNotRead(t *testing.T) {
	w := newWorld(t, splicetest.NodeOptions{})
	standby, err := w.node.Participant.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Close() })
	s := w.source(t, "canton", participant)
	s.Members[0].Live = live(t, standby.DSNAs(splicetest.DatabaseOwner, splicetest.ParticipantDatabase))
	_, err = w.take(t, newSet(), s)
	if err == nil || !strings.Contains(err.Error(), "is a standby") {
		t.Errorf("a standby: %v", err)
	}
}

// Errors keep the credentials to themselves.
func TestErrorsDoNotRepeatSecrets(t *testing.T) {
	w := newWorld(t, splicetest.NodeOptions{})
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAANOTHER")
	wrong, err := rds.Open(t.Context(), rds.Options{Region: rdsapi.Region, Endpoint: w.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Find(t.Context(), "canton")
	if holdfast.ClassOf(err) != holdfast.WrongKey || strings.Contains(err.Error(), rdsapi.Secret) {
		t.Errorf("another key: %v", err)
	}
	if _, err = (rds.Instance{Account: opened(t, "http://127.0.0.1:1"), ID: "canton"}).Server(t.Context()); holdfast.ClassOf(err) !=
		holdfast.Unreachable {
		t.Errorf("nobody answers: %v, %v", err, errors.Unwrap(err))
	}
}
