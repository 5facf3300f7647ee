package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/backup"
	"holdfast/check"
	"holdfast/config"
	"holdfast/identities/identitiestest"
	"holdfast/internal/splicetest"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/setup"
)

// checked is a node with everything that the conditions look at: databases on
// the shared server, its validator app, the Scans of three super validators,
// the admin API, a metrics endpoint, and Holdfast set up for it.
type checked struct {
	*testing.T
	bench
	dir     string
	network *splicetest.Network
	admin   *splicetest.AdminAPI
	metrics *splicetest.Metrics
	elseDir string // on another file system
}

func newChecked(t *testing.T) *checked {
	t.Helper()
	c := &checked{T: t, dir: t.TempDir(), elseDir: anotherDisk(t)}
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	c.must(c.start(name, false))
	t.Cleanup(c.close)
	c.must(splicetest.Come(t.Context(), c.dsn["participant"], 0))
	var err error
	c.network, err = c.node.StartNetwork(3)
	c.must(err)
	t.Cleanup(func() { _ = c.network.Close() })
	c.admin, err = c.node.StartAdminAPI(c.dsn["participant"])
	c.must(err)
	t.Cleanup(c.admin.Close)
	c.metrics, err = c.node.StartMetrics(c.dsn["participant"])
	c.must(err)
	t.Cleanup(func() { _ = c.metrics.Close() })
	c.holdfast(0, append(c.flags(), "--repository", c.path("repository"), "--recovery-key-file", c.path("recovery.key"))...)
	text, err := os.ReadFile(c.path("holdfast.yaml"))
	c.must(err)
	c.must(os.WriteFile(c.path("holdfast.yaml"), append(text, c.block()...), 0o600))
	return c
}

// block is the configuration of the conditions.
func (c *checked) block() string {
	return fmt.Sprintf(`
check:
  scans: [%s]
  admin: %s
  metrics: [%s]
  second_copy: %s
  retention:
    - {sv: '*', keeps: 30d, source: asked in the operators' channel on 2026-11-02}
`, strings.Join(c.network.URLs(), ", "), c.admin.Address(), c.metrics.URL(), c.elseDir)
}

// device identifies the file system of a path; 0 for a path that is not there.
func device(path string) uint64 {
	var s syscall.Stat_t
	if err := syscall.Stat(path, &s); err != nil {
		return 0
	}
	return uint64(s.Dev) //nolint:unconvert // the type differs between systems
}

// anotherDisk makes a directory on a file system other than that of the test's
// temporary directory.
func anotherDisk(t *testing.T) string {
	t.Helper()
	for _, base := range []string{"/dev/shm", "/var/tmp", "/tmp", "."} {
		if device(base) == 0 || device(base) == device(t.TempDir()) {
			continue
		}
		dir, err := os.MkdirTemp(base, "holdfast-copy-")
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	t.Fatal("there is one file system only: /dev/shm, /var/tmp, /tmp and the temporary directory are all on it")
	return ""
}

func (c *checked) path(name string) string { return filepath.Join(c.dir, name) }

func (c *checked) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// holdfast runs a command line, which has to end with that code.
func (c *checked) holdfast(code int, args ...string) string {
	c.Helper()
	var out, complaint bytes.Buffer
	got := run(c.Context(), append([]string{"--config", c.path("holdfast.yaml")}, args...), streams{in: strings.NewReader(""), out: &out, err: &complaint})
	if got != code {
		c.Fatalf("holdfast %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), complaint.String())
	}
	return out.String()
}

func (c *checked) config() *config.Config {
	c.Helper()
	conf, err := config.Load(c.path("holdfast.yaml"), nil)
	c.must(err)
	return conf
}

// take takes a set as if so long ago.
func (c *checked) take(conf *config.Config, ago time.Duration) (holdfast.Set, error) {
	c.Helper()
	var set holdfast.Set
	p := c.parts(conf)
	defer func() { c.must(p.Close(c.Context())) }()
	err := p.Backup(c.Context(), time.Minute, func(ctx context.Context, job backup.Job) (err error) {
		real := backup.SystemClock()
		job.Clock = func() holdfast.Moment {
			m := real()
			m.Wall = m.Wall.Add(-ago)
			return m
		}
		set, err = job.Run(ctx)
		return err
	})
	return set, err
}

func (c *checked) parts(conf *config.Config) *setup.Parts {
	c.Helper()
	p, err := setup.Open(conf, setup.Options{Version: version})
	c.must(err)
	return p
}

func (c *checked) inside(conf *config.Config, fn func(*repository.Repository) error) error {
	p := c.parts(conf)
	r, err := p.Repository(c.Context())
	if err != nil {
		return err
	}
	return errors.Join(fn(r), p.Close(c.Context()))
}

// fork copies the repository as it is now.
func (c *checked) fork(name string) *config.Config {
	c.Helper()
	c.must(os.CopyFS(c.path(name), os.DirFS(c.path("repository"))))
	conf := c.config()
	conf.Repository.Place = place.Directory(c.path(name))
	return conf
}

// copyElsewhere brings the second copy up to date.
func (c *checked) copyElsewhere() {
	c.Helper()
	c.must(os.RemoveAll(c.elseDir))
	c.must(os.CopyFS(c.elseDir, os.DirFS(c.path("repository"))))
}

// rehearsed remembers a drill of the newest set, as the command that makes one
// does.
func (c *checked) rehearsed(conf *config.Config, verdict holdfast.Verdict, ago time.Duration) {
	c.Helper()
	c.must(c.inside(conf, func(r *repository.Repository) error {
		set, _, err := r.Latest(c.Context(), demoNode, holdfast.Proven)
		if err != nil {
			return err
		}
		return r.PutDrill(c.Context(), record.Drill{Set: set.ID, Node: demoNode, At: time.Now().Add(-ago), Verdict: verdict, Found: "a row differs",
			Restore: 90 * time.Second, Bytes: set.Captures[0].Components[0].Database.Bytes + set.Captures[1].Components[0].Database.Bytes})
	}))
}

// judge looks at everything and judges it.
func (c *checked) judge(conf *config.Config) []check.Condition {
	c.Helper()
	p := c.parts(conf)
	o, err := p.Observe(c.Context())
	c.must(err)
	c.must(p.Close(c.Context()))
	return check.Evaluate(o, time.Now())
}

// query runs SQL in a database, and gives what takes it back.
func (c *checked) query(database string, there, back string) func() {
	return func() {
		c.Helper()
		c.exec(database, there)
		c.Cleanup(func() { c.exec(database, back) })
	}
}

func (c *checked) exec(database, sql string) {
	c.Helper()
	conn, err := pgx.Connect(context.Background(), c.dsn[database])
	c.must(err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(context.Background(), sql)
	c.must(err)
}

// away are databases that do not answer.
func away(conf *config.Config) {
	conf.Databases = map[string]config.Database{
		"validator":   {Connection: "host=127.0.0.1 port=1 dbname=validator user=x connect_timeout=2"},
		"participant": {Connection: "host=127.0.0.1 port=1 dbname=participant user=x connect_timeout=2"},
	}
}

// Every condition, on a real server, a real repository and imitated Scans,
// admin API, metrics and validator app: made to hold, made not to, and robbed
// of an input.
func TestEveryConditionOnRealParts(t *testing.T) {
	t.Parallel()
	c := newChecked(t)
	began := time.Now()
	c.holdfast(0, "backup")
	plain := c.fork("plain") // a set, and nothing tried
	c.must(c.inside(plain, func(r *repository.Repository) error {
		return r.PutDisproof(t.Context(), record.Disproof{Node: demoNode, Component: "participant", At: time.Now(),
			Disproof: holdfast.Disproof{Table: "par_contracts", ReadAt: began}})
	}))
	c.holdfast(0, "identities", "open", "--key-file", c.path("recovery.key"))
	c.rehearsed(c.config(), holdfast.Holds, time.Hour)
	c.copyElsewhere()

	t.Run("sets in doubt are named", func(t *testing.T) { c.doubted(t, plain) })
	t.Run("all hold", func(t *testing.T) {
		list := c.judge(c.config())
		for _, got := range list {
			if got.Verdict != holdfast.Holds {
				t.Errorf("%s is %s: %s", got.Code, got.Verdict, got.Evidence)
			}
		}
		if len(list) != len(check.Codes()) {
			t.Errorf("%d conditions of %d", len(list), len(check.Codes()))
		}
	})

	c.exec("participant", "UPDATE participant.lapi_parameters SET ledger_end = 50")
	reversed := c.fork("reversed")
	if set, err := c.take(reversed, 0); set.State != holdfast.Misordered || err == nil {
		t.Fatalf("the set is %s, %v", set.State, err)
	}
	c.exec("participant", "UPDATE participant.lapi_parameters SET ledger_end = 100")
	c.exec("participant", "ALTER TABLE participant.lapi_parameters RENAME COLUMN participant_pruned_up_to_inclusive TO pruned")
	unknown := c.fork("unknown")
	if set, err := c.take(unknown, 0); set.State != holdfast.Unproven || err == nil {
		t.Fatalf("the set is %s, %v", set.State, err)
	}
	c.exec("participant", "ALTER TABLE participant.lapi_parameters RENAME COLUMN pruned TO participant_pruned_up_to_inclusive")
	old, gap := c.empty("old"), c.empty("gap")
	for _, ago := range []time.Duration{9 * 24 * time.Hour, 5 * 24 * time.Hour} {
		if _, err := c.take(old, ago); err != nil {
			t.Fatal(err)
		}
	}
	c.must(os.RemoveAll(gap.Repository.Place.Path))
	c.must(os.CopyFS(gap.Repository.Place.Path, os.DirFS(old.Repository.Place.Path)))
	if _, err := c.take(gap, 0); err != nil {
		t.Fatal(err)
	}
	c.conditions(t, plain, reversed, unknown, old, gap)

	// Last, for nothing takes it back: an upgrade of the synchronizer.
	c.must(c.node.CrossOver(t.Context(), c.dsn["participant"], 5))
	c.network.Upgrade()
	t.Run("after an upgrade, the old synchronizer served", func(t *testing.T) {
		c.expect(t, c.config(), check.OldSynchronizer, holdfast.Holds, "3 published sequencers of the old one answer")
		c.expect(t, c.config(), check.LSURetention, holdfast.Holds, "before the upgrade to 6")
	})
	fresh := c.empty("fresh")
	if _, err := c.take(fresh, 0); err != nil {
		t.Fatal(err)
	}
	t.Run("lsu_retention violated", func(t *testing.T) {
		c.expect(t, fresh, check.LSURetention, holdfast.Violated, "every proven set is from serial 6")
	})
	c.network.Retire()
	t.Run("old_synchronizer_reachable violated", func(t *testing.T) {
		c.expect(t, c.config(), check.OldSynchronizer, holdfast.Violated, "no longer published")
	})
}

// empty is a configuration with a new repository.
func (c *checked) empty(name string) *config.Config {
	c.Helper()
	conf := c.config()
	conf.Repository.Place = place.Directory(c.path(name))
	password, err := c.parts(conf).Password(c.Context())
	c.must(err)
	c.must(repository.Create(c.Context(), conf.Repository.Place, password))
	return conf
}

func (c *checked) expect(t *testing.T, conf *config.Config, code check.Code, want holdfast.Verdict, words string) {
	t.Helper()
	list := c.judge(conf)
	got := list[slices.IndexFunc(list, func(x check.Condition) bool { return x.Code == code })]
	if got.Verdict != want || !strings.Contains(got.Evidence, words) {
		t.Errorf("%s is %s, want %s with %q: %s", code, got.Verdict, want, words, got.Evidence)
	}
	if want == holdfast.CannotTell && (len(got.Missing) == 0 || got.Next == "") {
		t.Errorf("%s does not say what is missing: %+v", code, got)
	}
}

// conditions makes every condition violated, and undetermined.
// doubted lists and shows the set that may have rows wrong, whose repository
// remembers that.
func (c *checked) doubted(t *testing.T, of *config.Config) {
	text, err := os.ReadFile(c.path("holdfast.yaml"))
	c.must(err)
	there := c.path("doubted.yaml")
	c.must(os.WriteFile(there, bytes.ReplaceAll(text, []byte(c.path("repository")), []byte(of.Repository.Place.String())), 0o600))
	const rows = "participant: table par_contracts, from block 0 on, changed without a transaction between "
	for command, want := range map[string]string{
		"list": "In doubt: set 20", "show latest": "In doubt: " + rows,
	} {
		said := c.holdfast(0, append([]string{"--config", there}, strings.Fields(command)...)...)
		if !strings.Contains(said, want) || !strings.Contains(said, rows) {
			t.Errorf("%s says no doubt:\n%s", command, said)
		}
		if said := c.holdfast(0, strings.Fields(command)...); strings.Contains(said, "In doubt") {
			t.Errorf("%s says a doubt where none is remembered:\n%s", command, said)
		}
	}
}

func (c *checked) conditions(t *testing.T, plain, reversed, unknown, old, gap *config.Config) {
	in := func(conf *config.Config) func(*config.Config) {
		return func(changed *config.Config) { changed.Repository.Place = conf.Repository.Place }
	}
	locked := func(conf *config.Config) { conf.Repository.Password = "env:HOLDFAST_TEST_NO_SUCH_PASSWORD" }
	fault := func(f splicetest.Fault) func() {
		return func() {
			c.app.SetFault(f)
			c.Cleanup(func() { c.app.SetFault(splicetest.Healthy) })
		}
	}
	scans := func(f splicetest.ScanFault) func() {
		return func() {
			for _, s := range c.network.Scans {
				s.SetFault(f)
				c.Cleanup(func() { s.SetFault(splicetest.ScanHealthy) })
			}
		}
	}
	gone := func(ago time.Duration) func() {
		return func() {
			c.must(splicetest.Come(context.Background(), c.dsn["participant"], ago.Microseconds()))
			c.Cleanup(func() { c.must(splicetest.Come(context.Background(), c.dsn["participant"], 0)) })
		}
	}
	both := func(list ...func()) func() {
		return func() {
			for _, fn := range list {
				fn()
			}
		}
	}
	announced := func() {
		c.network.Announce(time.Now().Add(3 * time.Hour))
		c.Cleanup(func() { c.network.Announce(time.Time{}) })
	}
	anothers := func() {
		c.app.SetDump(identitiestest.New("somebody-else-1", [32]byte{1}, identitiestest.Options{Version: splicetest.SpliceVersion}).JSON)
		c.Cleanup(func() { c.app.SetDump(c.node.Identities.JSON) })
	}
	for _, x := range []struct {
		code    check.Code
		verdict holdfast.Verdict
		words   string
		change  func(*config.Config) // of the configuration
		world   func()               // of what it leads to; undone after the case
	}{
		{check.RecoveryRoute, holdfast.Violated, "route one, a set: closed", func(conf *config.Config) { conf.Repository.Place = place.Directory(c.path("nothing")) }, nil},
		{check.RecoveryRoute, holdfast.CannotTell, "no current test shows that a key opens", func(conf *config.Config) { conf.Check.Retention = nil; in(plain)(conf) }, nil},
		{check.RestoreProven, holdfast.Violated, "no drill was ever run", in(plain), nil},
		{check.RestoreProven, holdfast.CannotTell, "HOLDFAST_TEST_NO_SUCH_PASSWORD", locked, nil},
		{check.TakenOverHolds, holdfast.Violated, "table par_contracts, from block 0 on, changed without a transaction", in(plain), nil},
		{check.TakenOverHolds, holdfast.CannotTell, "HOLDFAST_TEST_NO_SUCH_PASSWORD", locked, nil},
		{check.RepositoryReadable, holdfast.Violated, "repository", func(conf *config.Config) { conf.Repository.Place = place.Directory(c.path("nothing")) }, nil},
		{check.RepositoryReadable, holdfast.CannotTell, "HOLDFAST_TEST_NO_SUCH_PASSWORD", locked, nil},
		{check.RecoveryKeyTested, holdfast.Violated, "no recovery key was ever tested", in(plain), nil},
		{check.RecoveryKeyTested, holdfast.CannotTell, "HOLDFAST_TEST_NO_SUCH_PASSWORD", locked, nil},
		{check.SecondCopy, holdfast.Violated, "same file system", func(conf *config.Config) { conf.Check.SecondCopy = plain.Repository.Place }, nil},
		{check.SecondCopy, holdfast.CannotTell, "copies names none", func(conf *config.Config) { conf.Check.SecondCopy = place.Place{} }, nil},
		{check.SecondCopy, holdfast.CannotTell, "webdav://127.0.0.1:9/copy", func(conf *config.Config) {
			conf.Check.SecondCopy = place.Place{Scheme: place.WebDAV, Host: "127.0.0.1:9", Path: "copy"}
		}, nil},
		{check.PostgresCadence, holdfast.Violated, "is 5d old", in(old), nil},
		{check.PostgresCadence, holdfast.CannotTell, "HOLDFAST_TEST_NO_SUCH_PASSWORD", locked, nil},
		{check.SnapshotOrdering, holdfast.Violated, "ledger ends at 50", in(reversed), nil},
		{check.SnapshotOrdering, holdfast.CannotTell, "not one that is known", in(unknown), nil},
		{check.HistoricalSpacing, holdfast.Violated, "4d apart", in(gap), nil},
		{check.HistoricalSpacing, holdfast.CannotTell, "refused", func(conf *config.Config) { away(conf); conf.Check.Admin = "" }, nil},
		{check.UsersSinceBackup, holdfast.Violated, "older than set", nil,
			c.query("participant", "INSERT INTO participant.lapi_users (user_id, created_at) VALUES ('bob', 1700000000000000)", "DELETE FROM participant.lapi_users WHERE user_id = 'bob'")},
		{check.UsersSinceBackup, holdfast.CannotTell, "refused", away, nil},
		{check.RestorePointRetained, holdfast.Violated, "left", func(conf *config.Config) { conf.Check.Retention[0].Keeps = 1 }, nil},
		{check.RestorePointRetained, holdfast.CannotTell, "not declared for Example-SV-1, Example-SV-2, Example-SV-3", func(conf *config.Config) { conf.Check.Retention = nil }, nil},
		{check.Acknowledgement, holdfast.Violated, "2d left", nil, gone(28*24*time.Hour - time.Minute)},
		{check.Acknowledgement, holdfast.CannotTell, "refused", func(conf *config.Config) { away(conf); conf.Check.Metrics = nil }, nil},
		{check.OldSynchronizer, holdfast.CannotTell, "429", nil, both(gone(3*time.Hour), scans(splicetest.ScanLimits))},
		{check.OldSynchronizer, holdfast.CannotTell, "no Scan is configured", func(conf *config.Config) { conf.Check.Scans = nil }, gone(3 * time.Hour)},
		{check.LSURetention, holdfast.CannotTell, "no Scan is configured", func(conf *config.Config) { conf.Check.Scans = nil }, nil},
		{check.LSURetention, holdfast.CannotTell, "404", nil, both(gone(3*time.Hour), scans(splicetest.ScanOld))},
		{check.UpgradePrepared, holdfast.Holds, "is announced for", nil, announced},
		{check.UpgradePrepared, holdfast.Violated, "has received nothing for 3h0m", nil, both(gone(3*time.Hour), announced)},
		{check.UpgradePrepared, holdfast.CannotTell, "404", nil, scans(splicetest.ScanOld)},
		{check.IdentitiesBackedUp, holdfast.Violated, "somebody-else-1", nil, anothers},
		{check.IdentitiesBackedUp, holdfast.CannotTell, "503", nil, fault(splicetest.Unavailable)},
		{check.IdentitiesMatchDatabase, holdfast.Violated, "the dump belongs to this participant", nil, anothers},
		{check.IdentitiesMatchDatabase, holdfast.CannotTell, "web page", nil, fault(splicetest.Unavailable)},
		{check.PartiesNotMigrated, holdfast.CannotTell, "no synchronizer", nil, func() {
			c.admin.SetFault(splicetest.AdminDisconnected)
			c.Cleanup(func() { c.admin.SetFault(splicetest.AdminHealthy) })
		}},
		{check.PartiesNotMigrated, holdfast.Violated, "hosted by several participants: shared", nil, func() { c.admin.Host("shared"+c.node.Party[strings.Index(c.node.Party, "::"):], 1, false) }},
		{check.PruningConfigured, holdfast.Violated, "no pruning schedule", nil,
			c.query("participant", "DELETE FROM participant.par_pruning_schedules", "INSERT INTO participant.par_pruning_schedules (cron, max_duration, retention, prune_internally_only) VALUES ('0 0 /6 * * ?', 1800, 172800, false)")},
		{check.PruningConfigured, holdfast.CannotTell, "refused", func(conf *config.Config) { away(conf); conf.Check.Admin = "" }, nil},
		{check.ClockSane, holdfast.Violated, "1h0m behind", nil, scans(splicetest.ScanLate)},
		{check.ClockSane, holdfast.CannotTell, "runs on this machine", func(conf *config.Config) { conf.Check.Scans = nil }, nil},
		{check.PostgresSupported, holdfast.Violated, "pg_dump is version 9", func(conf *config.Config) { conf.Tools = c.oldTools() }, nil},
		{check.PostgresSupported, holdfast.CannotTell, "refused", away, nil},
		{check.SpaceForRestore, holdfast.Violated, "has 0 B free", func(conf *config.Config) { conf.Check.RestoreSpace = "/proc" }, nil},
		{check.SpaceForRestore, holdfast.CannotTell, "no such file", func(conf *config.Config) { conf.Check.RestoreSpace = c.path("nothing") }, nil},
	} {
		t.Run(fmt.Sprintf("%s %s", x.code, x.verdict), func(t *testing.T) {
			outer := c.T
			c.T = t
			defer func() { c.T = outer }()
			conf := c.config()
			if x.change != nil {
				x.change(conf)
			}
			if x.world != nil {
				x.world()
			}
			c.expect(t, conf, x.code, x.verdict, x.words)
		})
	}
}

// oldTools are client programs that say to be of a version from before.
func (c *checked) oldTools() string {
	dir := c.path("old-tools")
	c.must(os.MkdirAll(dir, 0o700))
	for _, name := range []string{"pg_dump", "pg_restore"} {
		c.must(os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho '"+name+" (PostgreSQL) 9.6.24'\n"), 0o700))
	}
	return dir
}
