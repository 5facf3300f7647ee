package endtoend

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/backup"
	"holdfast/canton"
	"holdfast/capture/postgres"
	"holdfast/databases"
	"holdfast/identities"
	"holdfast/internal/eventtest"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
	"holdfast/restore"
	"holdfast/sandbox"
	"holdfast/step"
)

const (
	password     = "a long and random password"
	recipientKey = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
)

// parts are a node and where it is backed up to, put together as the program
// does it. Fields may be changed before a run.
type parts struct {
	Node       databases.Live
	Repository *repository.Repository
	Identities backup.Identities
	Wait       time.Duration // for another run
	Dump       postgres.Options
	Clock      holdfast.Clock
	Heard      *eventtest.Record // of the last run
	noOwner    bool              // restores give everything to the connecting user
	without    []string          // what restores leave out
}

// bed is a node, its validator app and a repository, all of them alive.
type bed struct {
	*splicetest.Node
	parts
	App *splicetest.ValidatorApp
	At  place.Place
	Dir string // of the repository
}

func newBed(t testing.TB, o splicetest.NodeOptions) *bed {
	t.Helper()
	b := &bed{Node: splicetest.NewNode(t, o), Dir: filepath.Join(t.TempDir(), "repository")}
	b.App = splicetest.NewValidatorApp(t, b.Node, splicetest.AppOptions{})
	b.At = place.Directory(b.Dir)
	if err := repository.Create(t.Context(), b.At, holdfast.NewSecret(password)); err != nil {
		t.Fatal(err)
	}
	b.parts = parts{
		Node: nodeAt(t, b.ParticipantDSN(), b.ValidatorDSN()), Repository: openAt(t, b.At),
		Identities: keeper(b.App.URL(), recipient(t)),
		Dump:       postgres.Options{Lanes: 1, Connections: 6},
	}
	if o.App {
		b.addApp(t, b.AppDSN(), "participant")
	}
	return b
}

func openAt(t testing.TB, at place.Place, options ...repository.Option) *repository.Repository {
	t.Helper()
	return repositorytest.Open(t, at, password, options...)
}

func target(t testing.TB, dsn string) libpq.Address {
	t.Helper()
	info, err := libpq.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return libpq.Address{Conninfo: info}
}

// nodeAt is a validator node with its two databases.
func nodeAt(t testing.TB, participant, validator string) databases.Live {
	return databases.Live{
		Node: holdfast.Node{Name: "demo", Components: []holdfast.Component{
			{Name: "participant", Kind: holdfast.Participant}, {Name: "validator", Kind: holdfast.Validator},
		}},
		Addresses: map[holdfast.ComponentName]libpq.Address{
			"participant": target(t, participant),
			"validator":   target(t, validator),
		},
	}
}

// addApp adds an app's database, captured before those components.
func (b *bed) addApp(t testing.TB, dsn string, before ...holdfast.ComponentName) {
	b.parts.Node.Components = append(b.parts.Node.Components, holdfast.Component{
		Name:   "app",
		Kind:   holdfast.App,
		Before: before,
	})
	b.parts.Node.Addresses["app"] = target(t, dsn)
}

func recipient(t testing.TB) []identities.Recipient {
	t.Helper()
	list, err := identities.ParseRecipients([]string{recipientKey})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func keeper(url string, to []identities.Recipient) identities.Backup {
	f := identities.Fetcher{
		BaseURL:  url,
		Attempts: 1,
		Tokens: identities.UnsafeTokens{
			Audience: splicetest.DefaultAudience,
			Users:    []string{splicetest.LedgerUser},
		},
	}
	return identities.Backup{Fetch: f.Fetch, Recipients: to}
}

func readFacts(ctx context.Context, tx pgx.Tx, kind holdfast.Kind) (holdfast.Facts, error) {
	return canton.Read(ctx, tx, kind)
}

// job puts the parts together for a backup.
func (p *parts) job() backup.Job {
	p.Heard = &eventtest.Record{}
	j := backup.Job{
		Node:    p.Node.Node,
		Sources: map[holdfast.ComponentName]backup.Source{},
		Store:   p.Repository,
		Version: "test",
		Clock:   p.Clock,
		Events:  p.Heard.Hear,
		Lock: func(ctx context.Context) (func(context.Context) error, func(), error) {
			return p.Node.Lock(ctx, p.Wait)
		},
		Identities: p.Identities,
	}
	if k, ok := j.Identities.(identities.Backup); ok {
		k.Events = p.Heard.Hear
		j.Identities = k
	}
	for name, t := range p.Node.Addresses {
		j.Sources[name] = p.dumper(t)
	}
	return j
}

func (p *parts) dumper(t libpq.Address) postgres.Dumper {
	d := postgres.Dumper{Address: t, Facts: readFacts, Options: p.Dump}
	d.Options.Events = p.Heard.Hear
	return d
}

// place puts the parts together for a restore.
func (p *parts) place() databases.Target {
	return databases.Target{
		Live: p.Node,
		Now:  time.Now,
		Loader: func(_ holdfast.ComponentName, through libpq.Address) databases.Loader {
			return postgres.Loader{
				Address: through,
				Facts:   readFacts,
				Options: postgres.LoadOptions{Lanes: 2, NoOwner: p.noOwner, Without: p.without},
			}
		},
	}
}

// target is that place, without programs.
func (p *parts) target() restore.Target { return restore.Target{Databases: p.place()} }

// undo takes the newest restore back.
func (p *parts) undo(t testing.TB) ([]step.Move, error) {
	t.Helper()
	plan, err := restore.MakeUndo(t.Context(), p.target(), p.place(), restore.UndoOptions{}, time.Now())
	if err != nil {
		return nil, err
	}
	return restore.Undo(t.Context(), p.target(), p.place(), plan, nil)
}

// clean drops leftovers by their names.
func (p *parts) clean(ctx context.Context, names []string) error {
	return restore.Clean(ctx, p.target(), p.place(), names, restore.CleanOptions{})
}

// backup takes a set that has to be proven.
func (p *parts) backup(t testing.TB) holdfast.Set {
	t.Helper()
	set, err := p.job().Run(t.Context())
	if err != nil {
		t.Fatalf("backup: %v", err)
	}
	if set.State != holdfast.Proven || len(set.Problems()) > 0 {
		t.Fatalf("the set is %s: %v", set.State, set.Problems())
	}
	return set
}

// find reads a stored set.
func (p *parts) find(t testing.TB, id holdfast.SetID) (holdfast.Set, holdfast.Files) {
	t.Helper()
	set, files, err := p.Repository.Find(t.Context(), p.Node.Name, string(id))
	if err != nil {
		t.Fatal(err)
	}
	return set, files
}

// restore makes a plan and applies it.
func (p *parts) restore(t testing.TB, id holdfast.SetID, o restore.Options) (restore.Report, error) {
	t.Helper()
	set, files := p.find(t, id)
	plan, err := restore.Make(t.Context(), p.target(), set, o, time.Now())
	if err != nil {
		return restore.Report{}, err
	}
	return restore.Apply(t.Context(), p.target(), plan, set, files, nil)
}

func (p *parts) mustRestore(t testing.TB, id holdfast.SetID, o restore.Options) restore.Report {
	t.Helper()
	report, err := p.restore(t, id, o)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return report
}

// leftovers are the names of the databases that restores have left.
func (p *parts) leftovers(t testing.TB) []string {
	t.Helper()
	list, err := p.place().Leftovers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		names = append(names, l.Name)
	}
	return names
}

// live runs the node's programs until the function it returns is called.
func (b *bed) live(t testing.TB, load splicetest.Load) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, load) }()
	done := false
	stop = func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the node's programs failed: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// says makes sure that an error is of a class, contains those words, and comes
// with advice.
func says(t testing.TB, err error, class holdfast.Class, words ...string) {
	t.Helper()
	if holdfast.ClassOf(err) != class {
		t.Errorf("the error is of class %q, want %q: %v", holdfast.ClassOf(err), class, err)
	}
	if err == nil {
		return
	}
	why, do := holdfast.Advice(err)
	if class != holdfast.Interrupted && why == "" && do == "" {
		t.Errorf("no advice comes with: %v", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

// query reads one value.
func query[T any](t testing.TB, dsn, sql string, args ...any) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func execute(t testing.TB, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// connect holds a session open until the function it returns is called.
func connect(t testing.TB, dsn string) (hangUp func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn+"&application_name=canton-participant")
	if err != nil {
		t.Fatal(err)
	}
	hangUp = func() { _ = conn.Close(context.Background()) }
	t.Cleanup(hangUp)
	return hangUp
}

// entries lists the node's sets.
func (p *parts) entries(t testing.TB) []repository.Entry {
	t.Helper()
	list, err := p.Repository.Sets(t.Context(), p.Node.Name)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func contains(list []string, part string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, part) })
}

func TestMain(m *testing.M) {
	if sandbox.IsInside() {
		fmt.Fprintln(os.Stderr, sandbox.Inside(os.Args[1:]))
		os.Exit(1)
	}
	if os.Getenv(childEnv) != "" {
		os.Exit(runTask())
	}
	os.Exit(m.Run())
}
