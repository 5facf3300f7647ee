package endtoend

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/databases"
	"holdfast/identities"
	"holdfast/identities/identitiestest"
	"holdfast/internal/eventtest"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/repository/repositorytest"
	"holdfast/restore"
)

// undisturbed makes sure that nothing of ours is left in the servers: no
// session, no lock. Servers notice a session's end a moment later.
func undisturbed(t testing.TB, dsns ...string) {
	t.Helper()
	for _, dsn := range dsns {
		var left string
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			left = query[string](t, dsn,
				`SELECT coalesce(string_agg(format('%s in %s: %s', application_name, datname, state), '; '), '') FROM pg_stat_activity
				WHERE application_name LIKE 'holdfast%' OR application_name IN ('pg_dump', 'pg_restore')`)
			if left == "" {
				break
			}
		}
		if left != "" {
			t.Errorf("sessions of ours are left: %s", left)
		}
		if n := query[int](t, dsn,
			`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = x'686f6c64'::int::oid`); n > 0 {
			t.Errorf("%d locks of ours are left", n)
		}
	}
}

func TestIdentitiesInASet(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	sealed := func(set holdfast.Set) []byte {
		_, files := b.find(t, set.ID)
		return repositorytest.Read(t, files, set.Identities.SealedFile)
	}

	t.Run("no identities and none before: stored, not proven", func(t *testing.T) {
		b.App.SetFault(splicetest.Unavailable)
		defer b.App.SetFault(splicetest.Healthy)
		set, err := b.job().Run(t.Context())
		says(t, err, holdfast.NotProven, "identities")
		if set.State != holdfast.Unproven || set.Identities != nil || len(set.Missing) != 1 {
			t.Errorf("the set is %s, identities %v, missing %v", set.State, set.Identities, set.Missing)
		}
		_, err = b.restore(t, set.ID, restore.Options{OnlyProve: true})
		says(t, err, holdfast.Refused, "is unproven")
		b.mustRestore(t, set.ID, restore.Options{OnlyProve: true, Unproven: true})
	})

	first := b.backup(t)
	t.Run("unchanged ones are stored once", func(t *testing.T) {
		second := b.backup(t)
		// Sealing twice never gives the same bytes.
		if !bytes.Equal(sealed(first), sealed(second)) {
			t.Error("unchanged identities were sealed and stored again")
		}
	})
	t.Run("the last ones are carried over when the app does not answer", func(t *testing.T) {
		b.App.SetFault(splicetest.Unavailable)
		defer b.App.SetFault(splicetest.Healthy)
		for range 2 { // from a proven set, and from one that carries them already
			set, err := b.job().Run(t.Context())
			says(t, err, holdfast.NotProven, "503")
			if set.State != holdfast.Unproven || set.Identities == nil || !bytes.Equal(sealed(first), sealed(set)) {
				t.Errorf("the set is %s, identities %+v", set.State, set.Identities)
			}
			failed := eventtest.Of[backup.IdentitiesFailed](b.Heard)
			carried := eventtest.Of[identities.DumpCarriedOver](b.Heard)
			if len(failed) != 1 || len(carried) != 1 || carried[0].Participant != set.Identities.ID {
				t.Errorf("reported: %+v, %+v", failed, carried)
			}
		}
		b.App.SetFault(splicetest.Healthy)
		if set := b.backup(t); !bytes.Equal(sealed(first), sealed(set)) {
			t.Error("unchanged identities were sealed again after an outage")
		}
	})
	t.Run("another node's are found", func(t *testing.T) {
		b.App.SetDump(identitiestest.New("somebody-else-1", [32]byte{7}, identitiestest.Options{}).JSON)
		defer b.App.SetDump(b.Node.Identities.JSON)
		set, err := b.job().Run(t.Context())
		says(t, err, holdfast.Failed, "somebody-else-1")
		if set.State != holdfast.Mismatched {
			t.Errorf("the set is %s", set.State)
		}
		_, err = b.restore(t, set.ID, restore.Options{Unproven: true})
		says(t, err, holdfast.Refused, "is mismatched")
	})
	t.Run("damaged ones cost the proof", func(t *testing.T) {
		b.App.SetDump(identitiestest.New("demo-validator-1", [32]byte{}, identitiestest.Options{
			Fault:   identitiestest.SwappedKey,
			Version: splicetest.SpliceVersion,
		}).JSON)
		defer b.App.SetDump(b.Node.Identities.JSON)
		set, err := b.job().Run(t.Context())
		says(t, err, holdfast.NotProven, "private key")
		if set.State != holdfast.Unproven {
			t.Errorf("the set is %s", set.State)
		}
	})
	if set := b.backup(t); len(set.Missing) > 0 {
		t.Errorf("missing %v", set.Missing)
	}
}

// Wrong databases are refused before anything is read or stored.
func TestWrongDatabasesAreRefused(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{App: true})
	other := splicetest.NewNode(t, splicetest.NodeOptions{Hint: "somebody-else-1", Seed: [32]byte{7}})
	right := b.parts.Node
	with := func(change func(*databases.Live)) databases.Live {
		n := right
		n.Components, n.Addresses = slices.Clone(right.Components), map[holdfast.ComponentName]libpq.Address{}
		for name, tt := range right.Addresses {
			n.Addresses[name] = tt
		}
		change(&n)
		return n
	}
	type wrong struct {
		name  string
		node  databases.Live
		class holdfast.Class
		words []string
	}
	cases := []wrong{
		{"the two databases are swapped", with(func(n *databases.Live) {
			n.Addresses["participant"], n.Addresses["validator"] = n.Addresses["validator"], n.Addresses["participant"]
		}), holdfast.Refused, []string{"configured as"}},
		{"an app is really the participant's", with(func(n *databases.Live) {
			n.Addresses["app"] = n.Addresses["participant"]
		}), holdfast.Refused, []string{"kind app", "Canton participant"}},
		{"two apps are one database", with(func(n *databases.Live) {
			n.Components = append(n.Components, holdfast.Component{Name: "app2", Kind: holdfast.App})
			n.Addresses["app2"] = n.Addresses["app"]
		}), holdfast.Usage, []string{"app", "app2", "the same database"}},
		{"an empty database", with(func(n *databases.Live) {
			n.Addresses["app"] = n.Addresses["app"].On("postgres")
		}), holdfast.Refused, []string{"empty database"}},
		{"a database that is not there", with(func(n *databases.Live) {
			n.Addresses["app"] = n.Addresses["app"].On("nowhere")
		}), holdfast.Usage, []string{"nowhere"}},
		{"a validator app of another node", with(func(n *databases.Live) {
			n.Addresses["validator"] = target(t, other.ValidatorDSN())
		}), holdfast.Refused, []string{"belong to different nodes", "somebody-else-1"}},
		{"a circle", with(func(n *databases.Live) {
			n.Components[2].After = []holdfast.ComponentName{"participant"}
		}), holdfast.Usage, []string{"circle"}},
	}
	check := func(t *testing.T, c wrong) {
		before := len(b.entries(t))
		b.parts.Node = c.node
		defer func() { b.parts.Node = right }()
		_, err := b.job().Run(t.Context())
		says(t, err, c.class, c.words...)
		if len(b.entries(t)) != before {
			t.Error("a set was stored")
		}
		undisturbed(t, b.ParticipantDSN(), other.ParticipantDSN())
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { check(t, c) })
	}

	b.backup(t)
	check(t, wrong{"", with(func(n *databases.Live) {
		n.Addresses["participant"], n.Addresses["validator"] = target(t,
			other.ParticipantDSN()), target(t, other.ValidatorDSN())
	}), holdfast.Refused, []string{"somebody-else-1", "so far are of participant demo-validator-1"}})
	t.Run("another participant, and its component is called otherwise", func(t *testing.T) {
		check(t, wrong{"", with(func(n *databases.Live) {
			n.Components = []holdfast.Component{
				{Name: "ledger", Kind: holdfast.Participant},
				{Name: "wallet", Kind: holdfast.Validator},
			}
			n.Addresses["ledger"], n.Addresses["wallet"] = target(t,
				other.ParticipantDSN()), target(t, other.ValidatorDSN())
		}), holdfast.Refused, []string{"so far are of participant demo-validator-1"}})
	})
	b.backup(t)
}

// An app's database is captured in the stage that its edges ask for.
func TestAnAppIsCapturedBeforeTheParticipant(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{App: true})
	stop := b.live(t, splicetest.Load{Rate: 50})
	set := b.backup(t)
	stop()
	participant, _ := set.Part("participant")
	for _, name := range []holdfast.ComponentName{"app", "validator"} {
		if c, ok := set.Part(name); !ok || c.Ended.Since >= participant.Began.Since {
			t.Errorf("%s was captured from %v to %v, the participant from %v", name, c.Began.Since, c.Ended.Since,
				participant.Began.Since)
		}
	}
	if len(set.Order.Edges) != 2 {
		t.Errorf("edges %+v", set.Order.Edges)
	}
	b.mustRestore(t, set.ID, restore.Options{})
}

// A schema that nobody knows is stored and never passes for proven.
func TestAnUnknownSchemaIsNeverProven(t *testing.T) {
	for name, hide := range map[string]func(*bed) (dsn, hide, show string){
		"validator": func(b *bed) (string, string, string) {
			return b.ValidatorDSN(), `ALTER TABLE validator.store_descriptors RENAME TO store_descriptors_v9`, `ALTER TABLE validator.store_descriptors_v9 RENAME TO store_descriptors`
		},
		"participant": func(b *bed) (string, string, string) {
			return b.ParticipantDSN(), `ALTER TABLE participant.lapi_parameters RENAME COLUMN ledger_end TO ledger_end_v9`, `ALTER TABLE participant.lapi_parameters RENAME COLUMN ledger_end_v9 TO ledger_end`
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, splicetest.NodeOptions{})
			dsn, hide, show := hide(b)
			execute(t, dsn, hide)
			set, err := b.job().Run(t.Context())
			says(t, err, holdfast.NotProven, "none of the tables")
			if set.State != holdfast.Unproven || set.Order.Verdict != holdfast.CannotTell {
				t.Errorf("the set is %s, its order %s", set.State, set.Order.Verdict)
			}
			_, err = b.restore(t, set.ID, restore.Options{})
			says(t, err, holdfast.Refused)
			b.mustRestore(t, set.ID, restore.Options{Unproven: true})
			execute(t, dsn, show)
			b.backup(t)
		})
	}
}

// The wall clock may jump while a run goes on; the proof rests on the other.
func TestAWallClockThatJumpsBackDoesNotDisturbTheProof(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	began, read := time.Now(), atomic.Int64{}
	b.Clock = func() holdfast.Moment {
		since := time.Since(began)
		wall := began.Add(since)
		if read.Add(1) > 3 {
			wall = wall.Add(-3 * time.Hour)
		}
		return holdfast.Moment{Wall: wall.UTC().Round(0), Since: since}
	}
	set := b.backup(t)
	if !set.Ended.Wall.Before(set.Began.Wall) {
		t.Error("the clock did not jump: the test is wrong")
	}
}

func TestOneRunAtATime(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})

	_, unlock, err := b.parts.Node.Lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.job().Run(t.Context())
	says(t, err, holdfast.Busy, "backed up already", "session ")
	b.Wait = 20 * time.Second
	time.AfterFunc(700*time.Millisecond, unlock)
	began := time.Now()
	b.backup(t)
	if time.Since(began) < 500*time.Millisecond {
		t.Error("it did not wait for the other run")
	}
	b.Wait = 0

	elsewhere := b.parts.Node
	elsewhere.Name = "another"
	_, unlock, err = elsewhere.Lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.job().Run(t.Context()) // the same databases under another name are the same node
	says(t, err, holdfast.Busy, "backed up already", "session ")
	unlock()
	elsewhere.Addresses = map[holdfast.ComponentName]libpq.Address{
		"participant": target(t, b.Participant.DSN("postgres")), "validator": target(t, b.Validator.DSN("template1")),
	}
	_, unlock, err = elsewhere.Lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	b.backup(t) // other databases are another node
	unlock()

	// A holder that is killed takes its lock with it.
	holder := start(t, b.task("lock"))
	holder.Await(t, "locked")
	_, err = b.job().Run(t.Context())
	says(t, err, holdfast.Busy)
	if err := holder.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	b.Wait = 5 * time.Second
	b.backup(t)
	undisturbed(t, b.ParticipantDSN())
}

// An interrupt ends a run at once, and nothing of the run stays.
func TestAnInterruptedRunLeavesNothing(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{Bytes: 60 << 20})
	for _, after := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
		500 * time.Millisecond, 800 * time.Millisecond} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var cancelled time.Time
			time.AfterFunc(after, func() { cancelled = time.Now(); cancel() })
			_, err := b.job().Run(ctx)
			if err == nil {
				t.Skip("needs a slower machine: the run was over before it was interrupted")
			}
			if took := time.Since(cancelled); took > 2*time.Second {
				t.Errorf("it took %v to end", took)
			}
			says(t, err, holdfast.Interrupted)
			if list := b.entries(t); len(list) > 0 {
				t.Errorf("there is a set: %v", list)
			}
			undisturbed(t, b.ParticipantDSN())
		})
	}
	b.backup(t)
}

// A stored set that cannot be read any more must not keep new ones from being
// taken.
func TestADamagedLastSetDoesNotStopTheNextRun(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	later := b.backup(t)
	later.ID, later.Schema = later.ID[:len(later.ID)-8]+"ffffffff", holdfast.ManifestSchema+1
	later.Began.Wall, later.Ended.Wall = later.Began.Wall.Add(time.Second), later.Ended.Wall.Add(time.Second)
	later.Captures, later.Identities = nil, nil
	err := b.Repository.Write(t.Context(), "a set that this version cannot read",
		func(ctx context.Context, w holdfast.SetWriter) error {
			if _, err := w.Put(ctx, holdfast.ReadmeName, func(io.Writer) error { return nil }); err != nil {
				return err
			}
			return w.Seal(ctx, &later)
		})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	b.backup(t)
	if list := eventtest.Of[backup.LastUnreadable](b.Heard); len(list) != 1 || list[0].Err == nil {
		t.Errorf("the run reports %v", b.Heard.Types())
	}
}

// The plan says what a run would do, and does nothing.
func TestThePlanOfABackup(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{App: true})
	plan, err := b.job().Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Stages) != 2 || len(plan.Stages[0]) != 2 || plan.Stages[1][0].Component != "participant" ||
		plan.Last != nil {
		t.Errorf("the plan is %+v", plan)
	}
	for _, stage := range plan.Stages {
		for _, o := range stage {
			if o.Bytes == 0 || len(o.Tables) == 0 || o.Found == "" || o.Postgres == "" {
				t.Errorf("the outlook on %s is %+v", o.Component, o)
			}
		}
	}
	if len(b.entries(t)) > 0 {
		t.Error("a set was stored")
	}
	set := b.backup(t)
	plan, err = b.job().Plan(t.Context())
	if err != nil || plan.Last == nil || plan.Last.ID != set.ID || plan.Estimate <= 0 {
		t.Errorf("after a set the plan has %+v and %v, %v", plan.Last, plan.Estimate, err)
	}
}

// The README of a set is about that very set.
func TestTheReadmeNamesWhatIsThere(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	set := b.backup(t)
	_, files := b.find(t, set.ID)
	text := string(repositorytest.Read(t, files, holdfast.ReadmeName))
	for _, want := range []string{string(set.ID), "proven", "participant/schema.dump", "validator/globals.sql",
		"participant-4", set.Identities.Recipients[0], set.Captures[0].Server.Version} {
		if !strings.Contains(text, want) {
			t.Errorf("the README does not say %q", want)
		}
	}
	if strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
		t.Errorf("the README was not filled in:\n%s", text)
	}
}

// Neither the repository's files nor what a run reports hold a key in clear.
func TestNoPrivateKeyLeavesTheProcessInClear(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	set := b.backup(t)
	manifest, files := b.find(t, set.ID)
	sealed := repositorytest.Read(t, files, manifest.Identities.SealedFile)
	everything := string(sealed) + string(repositorytest.Read(t, files,
		holdfast.ManifestName)) + fmt.Sprintf("%v %#v", b.Heard.All(), b.Heard.All()) + contentOf(t, b.Dir)
	for _, key := range b.Node.Identities.Keys {
		if strings.Contains(everything, string(key.Data)) {
			t.Errorf("the private key %s stands somewhere in clear", key.Name)
		}
	}
}

func contentOf(t testing.TB, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
