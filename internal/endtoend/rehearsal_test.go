package endtoend

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/place"
	"holdfast/rehearsal"
	"holdfast/repository"
	"holdfast/restore"
)

var errNoSandbox = errors.New("no temporary server in this test")

// rehearsing is a backup of the parts that tries the schemas.
func (p *parts) rehearsing(t testing.TB) (holdfast.Set, error) {
	t.Helper()
	j := p.job()
	j.Rehearsal = rehearsal.Job{
		Live:    databases.Rehearsal{Target: p.place()},
		Sandbox: func(context.Context, holdfast.Set) (rehearsal.Sandbox, error) { return nil, errNoSandbox },
		Events:  p.Heard.Hear,
	}
	return j.Run(t.Context())
}

// apps are databases of a server's own, one component each.
func apps(t testing.TB, s *splicetest.Server, role string, names ...string) parts {
	t.Helper()
	at := place.Directory(filepath.Join(t.TempDir(), "repository"))
	if err := repository.Create(t.Context(), at, holdfast.NewSecret(password)); err != nil {
		t.Fatal(err)
	}
	p := parts{Repository: openAt(t, at), Node: databases.Live{
		Node: holdfast.Node{Name: "zoo"}, Addresses: map[holdfast.ComponentName]libpq.Address{},
	}}
	p.Dump.Lanes, p.Dump.Connections = 1, 6
	for _, name := range names {
		c := holdfast.ComponentName(name)
		p.Node.Components = append(p.Node.Components, holdfast.Component{Name: c, Kind: holdfast.App})
		p.Node.Addresses[c] = target(t, s.DSNAs(role, name))
	}
	return p
}

// populate makes the schemas in a database.
func populate(t testing.TB, s *splicetest.Server, database string, list []schema) {
	t.Helper()
	execute(t, s.DSN("postgres"), "CREATE DATABASE "+database+" TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
	execute(t, s.DSN(database), `CREATE SCHEMA ext`)
	for _, e := range []string{"hstore", "unaccent", "citext", "pg_trgm", "btree_gist", "postgres_fdw"} {
		execute(t, s.DSN(database), "CREATE EXTENSION "+e+" SCHEMA ext")
	}
	for _, x := range list {
		sql := strings.NewReplacer("@SOCKET@", s.Socket(), "@PORT@", fmt.Sprint(s.Port())).Replace(x.sql)
		execute(t, s.DSN(database), "CREATE SCHEMA "+x.name+"; SET search_path = "+x.name+", ext; "+sql)
	}
}

// A backup finds every schema that a restore would stop at, names the object,
// and calls the set unproven. What people have it does not mind: that comes
// back, as a restore shows.
func TestSchemasThatDoNotComeBack(t *testing.T) {
	server := splicetest.NewServer(t, "")
	populate(t, server, "refused", refusedSchemas)
	populate(t, server, "plain", plainSchemas)
	p := apps(t, server, "postgres", "refused", "plain")
	set, err := p.rehearsing(t)
	says(t, err, holdfast.NotProven, "would not come back")
	if set.State != holdfast.Unproven {
		t.Errorf("the set is %s", set.State)
	}
	found(t, set, "refused", refusedSchemas)
	found(t, set, "plain", nil)
	if _, err := p.restore(t, set.ID, restore.Options{
		OnlyProve: true, Unproven: true, Components: []holdfast.ComponentName{"plain"},
	}); err != nil {
		t.Errorf("the plain schemas do not come back: %v", err)
	}
	if left := databasesOf(t, server); len(left) != 2 {
		t.Errorf("there are databases %v", left)
	}
}

// found makes sure that what a rehearsal found is just these schemas.
func found(t *testing.T, set holdfast.Set, component holdfast.ComponentName, list []schema) {
	t.Helper()
	part, _ := set.Part(component)
	r := part.Rehearsal
	if r == nil || r.Unknown != "" {
		t.Fatalf("the schema of %s was not rehearsed: %+v", component, r)
	}
	t.Logf("%s: %d obstacles in %v", component, len(r.Obstacles), r.Took.Round(time.Millisecond))
	left := r.Obstacles
	for _, x := range list {
		at := -1
		for i, o := range left {
			if strings.Contains(o.Object, x.refused) && strings.Contains(o.Refusal, x.says) {
				at = i
			}
		}
		if at < 0 {
			t.Errorf("schema %s is not found: no %q that says %q", x.name, x.refused, x.says)
			continue
		}
		if o := left[at]; o.Definition == "" || o.Do == "" {
			t.Errorf("%s: no definition or no advice: %+v", x.name, o)
		}
		left = append(left[:at:at], left[at+1:]...)
	}
	for _, o := range left {
		if slices.ContainsFunc(list, func(x schema) bool { return strings.Contains(o.Object, x.name+".") }) {
			continue // more of an animal that was found
		}
		t.Errorf("a false alarm of %s: %s: %s (%s)", component, o.Object, o.Refusal, o.Definition)
	}
}

func databasesOf(t *testing.T, s *splicetest.Server) []string {
	t.Helper()
	return query[[]string](t, s.DSN("postgres"),
		`SELECT array_agg(datname::text) FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'`)
}

// Where no superuser restores, what only one makes is found, and a set of a node
// without such objects is proven. Evidence is carried while a schema stays as it
// is; a leftover of a run that was killed goes with the next one.
func TestSchemasOnAManagedServer(t *testing.T) {
	server := splicetest.NewServer(t, "")
	execute(t, server.DSN("postgres"), `CREATE ROLE owner; CREATE ROLE managed LOGIN CREATEDB IN ROLE owner, pg_read_all_data`)
	execute(t, server.DSN("postgres"), `CREATE DATABASE refused OWNER owner`)
	execute(t, server.DSN("postgres"), `CREATE DATABASE plain OWNER owner`)
	execute(t, server.DSN("postgres"), `CREATE DATABASE "plain~rehearsal~20200101T000000Z-00000000" OWNER managed`)
	execute(t, server.DSN("refused"), `CREATE TABLE t (x int)`)
	execute(t, server.DSN("plain"), `CREATE TABLE t (x int); ALTER TABLE t OWNER TO owner; CREATE EXTENSION hstore`)
	for _, x := range managedSchemas {
		execute(t, server.DSN("refused"), "CREATE SCHEMA "+x.name+" AUTHORIZATION owner; SET search_path = "+x.name+"; "+x.sql)
	}
	p := apps(t, server, "managed", "plain", "refused")
	set, err := p.rehearsing(t)
	says(t, err, holdfast.NotProven, "refused", "would not come back")
	found(t, set, "refused", managedSchemas)
	found(t, set, "plain", nil)
	if left := databasesOf(t, server); len(left) != 2 {
		t.Errorf("there are databases %v", left)
	}

	p.Node.Components, p.Node.Name = p.Node.Components[:1], "plain"
	first, err := p.rehearsing(t)
	if err != nil || first.State != holdfast.Proven {
		t.Fatalf("the set is %s: %v", first.State, err)
	}
	evidence := func(s holdfast.Set) holdfast.SetID { return s.Captures[0].Components[0].Rehearsal.Set }
	second, err := p.rehearsing(t)
	if err != nil || evidence(second) != first.ID {
		t.Errorf("the schema was tried again by set %s: %v", evidence(second), err)
	}
	execute(t, server.DSN("plain"), `ALTER TABLE t ADD COLUMN y int`)
	third, err := p.rehearsing(t)
	if err != nil || evidence(third) != third.ID {
		t.Errorf("the changed schema was not tried: %v", err)
	}
	execute(t, server.DSN("postgres"), `ALTER ROLE managed NOCREATEDB`)
	execute(t, server.DSN("plain"), `ALTER TABLE t ADD COLUMN z int`)
	fourth, err := p.rehearsing(t)
	r := fourth.Captures[0].Components[0].Rehearsal
	if err != nil || r.Verdict() != holdfast.CannotTell || !strings.Contains(r.Unknown, "may not create databases") ||
		!strings.Contains(r.Do, "CREATEDB") {
		t.Errorf("a role that may not try leaves %+v, %v", r, err)
	}
}

// The program itself: a run that is killed in the middle of a rehearsal leaves a
// database, which the next one drops, and a role that may not create databases has
// the schemas tried in a sandbox.
func TestRehearsalsOfTheProgram(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{})
	server := node.Participant
	t.Setenv("HOLDFAST_DRILL_PROGRAMS", server.Version.Bin)
	execute(t, server.DSN("postgres"), `CREATE ROLE keeper LOGIN IN ROLE pg_read_all_data`)
	before := databasesOf(t, server)
	equipped := func(role string) workshop {
		w := newWorkshop(t)
		w.does(t, "init", "--no-input", "--node", "demo", "--repository", "repository", "--identities-url", "-",
			"--database", "validator="+server.DSNAs(role, splicetest.ValidatorDatabase),
			"--database", "participant="+server.DSNAs(role, splicetest.ParticipantDatabase))
		return w
	}
	places := func(w workshop) string {
		t.Helper()
		w.does(t, "backup", "--quiet")
		out, _ := w.run("show", "latest")
		if !strings.Contains(out, "State      proven") || strings.Count(out, ": holds: the schema was loaded") != 2 {
			t.Errorf("the set:\n%s", out)
		}
		if left := databasesOf(t, server); len(left) != len(before) {
			t.Errorf("there are databases %v", left)
		}
		return out
	}

	w := equipped("postgres")
	killed := exec.Command(w.program, "backup", "--quiet")
	killed.Dir = w.dir
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	left := func() bool {
		return query[bool](t, server.DSN("postgres"), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname LIKE '%~rehearsal~%')`)
	}
	for deadline := time.Now().Add(time.Minute); !left() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	_ = killed.Process.Kill()
	_ = killed.Wait()
	if there := databasesOf(t, server); len(there) != len(before)+1 {
		t.Fatalf("the run was not killed in its rehearsal: there are databases %v", there)
	}
	if out := places(w); !strings.Contains(out, "was loaded next to database participant") {
		t.Errorf("next to the live databases:\n%s", out)
	}
	const fine = "constraint fine on public.extra"
	execute(t, server.DSN(splicetest.ValidatorDatabase), `CREATE TABLE public.extra (x int);
		CREATE FUNCTION public.fine(int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
		ALTER TABLE public.extra ADD CONSTRAINT fine CHECK (public.fine(x))`)
	kept := equipped("keeper")
	if out := places(kept); strings.Count(out, "was loaded in a sandbox") != 2 {
		t.Errorf("by a role without CREATEDB:\n%s", out)
	}
	out, _ := kept.run("drill", "--without", fine)
	if !strings.Contains(out, "equal the manifest; left out, as you said: "+fine) {
		t.Errorf("a drill that leaves something out:\n%s", out)
	}
}
