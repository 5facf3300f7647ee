package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/content"
	"holdfast/internal/splicetest"
)

// The least that a user of a dump needs. With the first it reads whatever
// comes; with the second it has to be granted again when a schema or a table is
// added, and is refused, by name, until it is.
const (
	grantAll    = `CREATE ROLE backup LOGIN; GRANT CONNECT ON DATABASE %db% TO backup; GRANT pg_read_all_data TO backup`
	grantNarrow = `GRANT CONNECT ON DATABASE %db% TO backup;
		GRANT USAGE ON SCHEMA participant, debug TO backup;
		GRANT SELECT ON ALL TABLES IN SCHEMA participant, debug TO backup;
		GRANT SELECT ON ALL SEQUENCES IN SCHEMA participant, debug TO backup`
)

func TestTheLeastGrantsThatADumpNeeds(t *testing.T) {
	all := splicetest.Versions()
	for _, version := range slices.Compact([]string{all[0].Major, all[len(all)-1].Major}) {
		t.Run("postgres"+version, func(t *testing.T) { leastGrants(t, version) })
	}
}

func leastGrants(t *testing.T, version string) {
	tools(t, version)
	node := splicetest.NewNode(t, splicetest.NodeOptions{Version: version})
	server := node.Participant
	exec1(t, server.DSN("postgres"), `REVOKE CONNECT ON DATABASE "participant-4", validator FROM PUBLIC`)
	as := func(role string) source {
		return source{"participant", holdfast.Participant, server.DSNAs(role, splicetest.ParticipantDatabase)}
	}
	exec1(t, node.ParticipantDSN(), strings.ReplaceAll(grantAll, "%db%", `"participant-4"`))
	all, _ := dump(t, version, as("backup"), postgres.Options{})

	exec1(t, node.ParticipantDSN(),
		`CREATE ROLE narrow LOGIN; `+strings.NewReplacer("%db%", `"participant-4"`, "TO backup",
			"TO narrow").Replace(grantNarrow))
	few, _ := dump(t, version, as("narrow"), postgres.Options{})
	if !slices.EqualFunc(rowsOf(all).Tables, rowsOf(few).Tables, func(a, b content.Table) bool {
		return a.Digest == b.Digest && a.Rows == b.Rows
	}) {
		t.Error("the two users read different rows")
	}
	if all.Facts.Participant == nil || few.Facts.Participant == nil {
		t.Error("facts could not be read")
	}

	for _, c := range []struct{ revoke, named, grant string }{
		{`REVOKE SELECT ON participant.lapi_parameters FROM narrow`, "participant.lapi_parameters",
			`GRANT SELECT ON participant.lapi_parameters TO narrow`},
		{`REVOKE SELECT ON participant.ord_epochs FROM narrow`, "participant.ord_epochs",
			`GRANT SELECT ON participant.ord_epochs TO narrow`},
		{`REVOKE SELECT ON SEQUENCE participant.participant_event_publisher_local_offsets FROM narrow`,
			"participant.participant_event_publisher_local_offsets", ``},
	} {
		exec1(t, node.ParticipantDSN(), c.revoke)
		d := postgres.Dumper{Address: address(t, as("narrow").dsn), Tools: tools(t, version), Facts: facts}
		_, err := d.Capture(t.Context(), component(as("narrow")), clock(), folder(t.TempDir()), holdfast.Earlier{})
		if holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(err.Error(), c.named) ||
			!strings.Contains(advice(err), "GRANT pg_read_all_data TO \"narrow\"") {
			t.Errorf("%s: %v; %s", c.revoke, err, advice(err))
		}
		exec1(t, node.ParticipantDSN(), c.grant)
	}
}

func TestWhatADumpCannotCarryIsRefusedByName(t *testing.T) {
	server := splicetest.NewServer(t, "")
	exec1(t, server.DSN("postgres"), `CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader`)
	for _, c := range []struct {
		name, sql, role string
		want            []string
	}{
		{"hidden_rows", `CREATE TABLE guarded (a integer); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY`, "reader",
			[]string{"row security", "public.guarded", "BYPASSRLS"}},
		{"large_objects", `SELECT lo_from_bytea(4711, 'x')`, "postgres", []string{"large objects", "4711", "bytea"}},
		{"unreadable", `CREATE SCHEMA s; CREATE TABLE s."T t" (a integer)`, "nobody_at_all", []string{`s."T t"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			exec1(t, server.DSN("postgres"), `CREATE DATABASE `+c.name+`; `)
			exec1(t, server.DSN(c.name),
				`DO $$ BEGIN CREATE ROLE nobody_at_all LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; `+
					c.sql)
			s := source{c.name, holdfast.App, server.DSNAs(c.role, c.name)}
			_, err := dumper(t, s, quick).Capture(t.Context(), component(s), clock(), folder(t.TempDir()), holdfast.Earlier{})
			text := ""
			if err != nil {
				text = err.Error() + advice(err)
			}
			if holdfast.ClassOf(err) != holdfast.Refused {
				t.Errorf("%v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q does not name %s", text, want)
				}
			}
			nothingLeft(t, server)
		})
	}
}

// A role that has the grant and does not inherit it gets other advice than the
// grant, and the advice helps.
func TestARoleThatDoesNotInherit(t *testing.T) {
	splicetest.EachVersion(t, func(t *testing.T, version string) {
		server := splicetest.NewServer(t, version)
		exec1(t, server.DSN("postgres"), `CREATE DATABASE app`)
		exec1(t, server.DSN("postgres"), `CREATE ROLE dump LOGIN NOINHERIT; GRANT pg_read_all_data TO dump`)
		exec1(t, server.DSN("app"), `CREATE TABLE t (a integer)`)
		s := source{"app", holdfast.App, server.DSNAs("dump", "app")}
		look := func() error {
			_, err := postgres.Dumper{Address: address(t, s.dsn), Tools: tools(t, version)}.Look(t.Context(), component(s))
			return err
		}
		err := look()
		_, statement, found := strings.Cut(advice(err), "As a superuser: ")
		if holdfast.ClassOf(err) != holdfast.Refused || !found || !strings.Contains(advice(err), "does not inherit") {
			t.Fatalf("%v; %s", err, advice(err))
		}
		exec1(t, server.DSN("postgres"), statement)
		if err := look(); err != nil {
			t.Errorf("after %s: %v", statement, err)
		}
	})
}

func TestWhatIsLeftOutIsRecorded(t *testing.T) {
	server := splicetest.NewServer(t, "")
	exec1(t, server.DSN("postgres"), `CREATE DATABASE left_out`)
	exec1(t, server.DSN("left_out"), `
		CREATE EXTENSION postgres_fdw; CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
		CREATE FOREIGN TABLE "Far away" (a integer) SERVER elsewhere;
		CREATE TABLE here (a integer); INSERT INTO here VALUES (1)`)
	exec1(t, server.DSN("left_out"),
		`CREATE SUBSCRIPTION sub CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)`)
	s := source{"left_out", holdfast.App, server.DSN("left_out")}
	c, files := dump(t, "", s, quick)
	var names []string
	for _, l := range c.LeftOut {
		names = append(names, l.Name)
	}
	if want := []string{`foreign table public."Far away"`, "subscription sub"}; !slices.Equal(names, want) {
		t.Errorf("left out: %q, want %q", names, want)
	}
	proveRestores(t, s, server, c, files)
	if n := one[int](t, server.DSN("left_out_restored"),
		`SELECT count(*) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()`); n != 0 {
		t.Error("the copy subscribes")
	}
	exec1(t, server.DSN("left_out"), `DROP SUBSCRIPTION sub`)
}

func TestRestoreWhereTheOwnersAreMissing(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{})
	away := splicetest.NewServer(t, "")
	exec1(t, away.DSN("postgres"), `CREATE ROLE restorer LOGIN CREATEDB; CREATE ROLE bystander LOGIN`)
	for _, s := range []source{
		{"participant", holdfast.Participant, node.ParticipantDSN()},
		{"validator", holdfast.Validator, node.ValidatorDSN()},
	} {
		c, files := dump(t, "", s, postgres.Options{})
		for _, role := range []string{"postgres", "restorer"} {
			name := s.name + " for " + role
			if _, err := load(t, "", away.DSNAs(role, "postgres"), name, c,
				files); holdfast.ClassOf(err) != holdfast.Refused ||
				!strings.Contains(advice(err), "CREATE ROLE \""+splicetest.DatabaseOwner+"\"") ||
				!strings.Contains(advice(err), "--no-owner") {
				t.Errorf("%s: %v", name, err)
			}
			fit, err := loadWith(t, "", away.DSNAs(role, "postgres"), name, c, files,
				postgres.LoadOptions{NoOwner: true})
			if err != nil || fit.KeepOwners || !slices.Contains(fit.MissingRoles, splicetest.DatabaseOwner) ||
				!slices.Contains(fit.UnfitOwners, splicetest.DatabaseOwner) {
				t.Errorf("%s: %+v, %v", name, fit, err)
				continue
			}
			if owners := one[string](t, away.DSN(name),
				`SELECT string_agg(DISTINCT pg_get_userbyid(relowner)::text, ' ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname IN ('participant', 'validator')`); owners != role {
				t.Errorf("%s: it belongs to %s", name, owners)
			}
		}
		if _, err := load(t, "", away.DSNAs("bystander", "postgres"), "never", c,
			files); holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(advice(err), "CREATEDB") {
			t.Errorf("a role without CREATEDB: %v", err)
		}
	}
}

// In a container the first superuser is often the application's own role, and
// on the next server somebody else is.
func TestRestoreWhereTheFirstSuperuserHasAnotherName(t *testing.T) {
	server, away := splicetest.NewServer(t, ""), splicetest.NewServer(t, "")
	s := farm(t, server, "farm")
	exec1(t, away.DSN("postgres"), `CREATE ROLE root2 SUPERUSER LOGIN`)
	exec1(t, away.DSNAs("root2", "postgres"), `ALTER ROLE postgres RENAME TO boss`)
	t.Cleanup(func() { exec1(t, away.DSNAs("root2", "postgres"), `ALTER ROLE boss RENAME TO postgres`) })
	c, files := dump(t, "", s, quick)
	if _, err := load(t, "", away.DSNAs("boss", "postgres"), "farm", c,
		files); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("without its owner: %v", err)
	}
	fit, err := loadWith(t, "", away.DSNAs("boss", "postgres"), "farm", c, files, postgres.LoadOptions{NoOwner: true})
	if err != nil || fit.KeepOwners || !slices.Equal(fit.MissingRoles, []string{"postgres"}) {
		t.Errorf("%+v, %v", fit, err)
	}
}

func TestARestoreThatMayActForTheOwnersKeepsThem(t *testing.T) {
	server := splicetest.NewServer(t, "")
	exec1(t, server.DSN("postgres"), `CREATE ROLE app LOGIN; CREATE ROLE restorer LOGIN CREATEDB IN ROLE app`)
	exec1(t, server.DSN("postgres"), `CREATE DATABASE owned OWNER app`)
	exec1(t, server.DSNAs("app", "owned"),
		`CREATE SCHEMA s; CREATE TABLE s.t (a serial); INSERT INTO s.t DEFAULT VALUES`)
	c, files := dump(t, "", source{"owned", holdfast.App, server.DSN("owned")}, quick)
	fit, err := load(t, "", server.DSNAs("restorer", "postgres"), "copy", c, files)
	if err != nil || !fit.KeepOwners {
		t.Fatalf("%+v, %v", fit, err)
	}
	if owner := one[string](t, server.DSN("copy"),
		`SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = 's.t'::regclass`); owner != "app" {
		t.Errorf("the table belongs to %s", owner)
	}
}

func TestADumpOfAStandby(t *testing.T) {
	primary := splicetest.NewServer(t, "")
	farm(t, primary, "farm")
	standby, err := primary.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Close() })
	s := source{"farm", holdfast.App, standby.DSN("farm")}
	c, files := dump(t, "", s, quick)
	if !c.Server.Standby || c.WAL.Before == "" {
		t.Errorf("%+v, %+v", c.Server, c.WAL)
	}
	proveRestores(t, s, primary, c, files)
	if _, err := load(t, "", standby.DSN("postgres"), "never", c, files); holdfast.ClassOf(err) != holdfast.Refused ||
		!strings.Contains(err.Error(), "standby") {
		t.Errorf("restore to a standby: %v", err)
	}
	// A failover in the middle: the sessions live on, and so does their snapshot.
	var promoted bool
	out := folder(t.TempDir())
	o := quick
	o.Events = whenSnapped(func() {
		promoted = true
		exec1(t, standby.DSN("postgres"), `SELECT pg_promote()`)
	})
	capture, err := dumper(t, s, o).Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{})
	if err != nil || !promoted {
		t.Fatalf("a failover in the middle of a dump: %v", err)
	}
	proveRestores(t, source{"farm_after", holdfast.App, s.dsn}, primary, part(capture), out)

	// Now a primary, it may have what a standby has not.
	exec1(t, primary.DSN("farm"), `CREATE UNLOGGED TABLE fleeting (a integer)`)
	other, err := primary.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	s.dsn = other.DSN("farm")
	if _, err := dumper(t, s, quick).Capture(t.Context(), component(s), clock(),
		folder(t.TempDir()), holdfast.Earlier{}); holdfast.ClassOf(err) != holdfast.Refused ||
		!strings.Contains(err.Error(), "public.fleeting") {
		t.Errorf("an unlogged table on a standby: %v", err)
	}
}
