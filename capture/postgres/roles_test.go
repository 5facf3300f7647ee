package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/internal/eventtest"
	"holdfast/internal/splicetest"
)

// granted is a database of role app with rights of every sort for others.
const granted = `
	CREATE SCHEMA s;
	CREATE TABLE s.t (a serial PRIMARY KEY, b text); INSERT INTO s.t (b) VALUES ('one');
	CREATE TABLE s.secret (a integer);
	CREATE FUNCTION s.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
	REVOKE ALL ON FUNCTION s.f() FROM PUBLIC;
	GRANT USAGE ON SCHEMA s TO reader, "gone; TO reader";
	GRANT SELECT ON s.t TO reader WITH GRANT OPTION;
	GRANT SELECT ON s.t TO "gone; TO reader";
	GRANT UPDATE (b) ON s.t TO "gone; TO reader", reader;
	GRANT EXECUTE ON FUNCTION s.f() TO reader;
	ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO reader, "gone; TO reader";
	GRANT CONNECT ON DATABASE granted TO reader, "gone; TO reader"`

// rights is everything that is granted on the objects of a database by name.
const rights = `SELECT concat_ws(' | ',
	(SELECT relacl::text FROM pg_class WHERE oid = 's.t'::regclass), (SELECT attacl::text FROM pg_attribute WHERE attrelid = 's.t'::regclass AND attname = 'b'),
	(SELECT nspacl::text FROM pg_namespace WHERE nspname = 's'), (SELECT proacl::text FROM pg_proc WHERE proname = 'f' AND pronamespace = 's'::regnamespace),
	(SELECT string_agg(defaclacl::text, ' ') FROM pg_default_acl), (SELECT datacl::text FROM pg_database WHERE datname = current_database()))`

const gone = "gone; TO reader"

func grantedNode(t *testing.T) (holdfast.Part, folder) {
	t.Helper()
	server := splicetest.NewServer(t, "")
	exec1(t, server.DSN("postgres"),
		`CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE third; CREATE ROLE "gone; TO reader"`)
	exec1(t, server.DSN("postgres"), `CREATE DATABASE granted OWNER app`)
	exec1(t, server.DSNAs("app", "granted"), granted)
	exec1(t, server.DSNAs("reader", "granted"), `GRANT SELECT ON s.t TO third`)
	return dump(t, "", source{"granted", holdfast.App, server.DSN("granted")}, quick)
}

func TestGrantsAreKeptForTheRolesThatAreThere(t *testing.T) {
	c, files := grantedNode(t)
	if want := []string{"app"}; !slices.Equal(c.Database.Owners, want) {
		t.Errorf("owners %q, want %q", c.Database.Owners, want)
	}
	away := splicetest.NewServer(t, "")
	exec1(t, away.DSN("postgres"),
		`CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE third; CREATE ROLE restorer LOGIN CREATEDB IN ROLE app`)
	for role, third := range map[string]string{"postgres": "third=r/reader", "restorer": "third=r/app"} {
		fit, err := load(t, "", away.DSNAs(role, "postgres"), "granted for "+role, c, files)
		if err != nil || !fit.KeepOwners || !slices.Equal(fit.MissingRoles, []string{gone}) {
			t.Fatalf("%s: %+v, %v", role, fit, err)
		}
		if len(fit.LostGrants) != 1 || fit.LostGrants[0].Role != gone ||
			!slices.Contains(fit.LostGrants[0].On, "column b of table s.t") ||
			!slices.Contains(fit.LostGrants[0].On, "schema s") {
			t.Errorf("%s: what is left out: %+v", role, fit.LostGrants)
		}
		copied := away.DSN("granted for " + role)
		want := `{app=arwdDxt/app,reader=r*/app,` + third +
			`} | {reader=w/app} | {app=UC/app,reader=U/app} | {app=X/app,reader=X/app} | {reader=r/app} | {app=CTc/app,=Tc/app,reader=c/app}`
		// Postgres 17 has a right more.
		if got := strings.ReplaceAll(one[string](t, copied, rights), "arwdDxtm", "arwdDxt"); got != want {
			t.Errorf("%s: rights are\n%s, want\n%s", role, got, want)
		}
		if owner := one[string](t, copied,
			`SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = 's.t'::regclass`); owner != "app" {
			t.Errorf("%s: the table belongs to %s", role, owner)
		}
	}
}

func TestARestoreWithoutItsOwnersIsRefusedUnlessAskedFor(t *testing.T) {
	c, files := grantedNode(t)
	away := splicetest.NewServer(t, "")
	exec1(t, away.DSN("postgres"), `CREATE ROLE reader LOGIN; CREATE ROLE third; CREATE ROLE restorer LOGIN CREATEDB`)
	refused := func(role, advised string) {
		t.Helper()
		_, err := load(t, "", away.DSNAs(role, "postgres"), "never", c, files)
		if holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(advice(err), advised) ||
			!strings.Contains(advice(err), "--no-owner") {
			t.Errorf("%s: %v (%s)", role, err, advice(err))
		}
	}
	for _, role := range []string{"postgres", "restorer"} {
		refused(role, `CREATE ROLE "app" LOGIN`)
		fit, err := loadWith(t, "", away.DSNAs(role, "postgres"), "mine for "+role, c, files,
			postgres.LoadOptions{NoOwner: true})
		if err != nil || fit.KeepOwners || !slices.Equal(fit.UnfitOwners, []string{"app"}) {
			t.Fatalf("%s: %+v, %v", role, fit, err)
		}
		if got := one[string](t, away.DSN("mine for "+role),
			`SELECT pg_get_userbyid(relowner)::text || ' ' || has_table_privilege('reader', 's.t', 'SELECT') || has_table_privilege('reader', 's.secret', 'SELECT')
			FROM pg_class WHERE oid = 's.t'::regclass`); got != role+" truefalse" {
			t.Errorf("%s: owner and the reader's rights are %s", role, got)
		}
	}
	exec1(t, away.DSN("postgres"), `CREATE ROLE app LOGIN`)
	refused("restorer", `GRANT "app" TO "restorer"`)
	// A set of before owners were recorded: any of its roles may be one.
	c.Database.Owners, c.Database.Grants = nil, nil
	refused("postgres", `CREATE ROLE "gone; TO reader" LOGIN`)
}

func TestAPolicyWithoutItsRoleIsRefused(t *testing.T) {
	server, away := splicetest.NewServer(t, ""), splicetest.NewServer(t, "")
	exec1(t, server.DSN("postgres"), `CREATE ROLE seer`)
	exec1(t, server.DSN("postgres"), `CREATE DATABASE policed`)
	exec1(t, server.DSN("policed"),
		`CREATE TABLE t (a integer); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t TO seer USING (a > 1)`)
	c, files := dump(t, "", source{"policed", holdfast.App, server.DSN("policed")}, quick)
	for _, o := range []postgres.LoadOptions{{}, {NoOwner: true}} {
		if _, err := loadWith(t, "", away.DSN("postgres"), "policed", c, files,
			o); holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(advice(err), `CREATE ROLE "seer"`) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// What the role of a restore may not grant is a warning of the server's where it
// has the right but may not pass it on, and an error where it has none: both are
// said with the statement to repeat, and neither ends the restore.
func TestGrantsThatTheRoleMayNotMakeAreSaid(t *testing.T) {
	server, away := splicetest.NewServer(t, ""), splicetest.NewServer(t, "")
	exec1(t, server.DSN("postgres"), `CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN`)
	exec1(t, server.DSN("postgres"), `CREATE DATABASE granted OWNER app`)
	exec1(t, server.DSNAs("app", "granted"), `CREATE TABLE t (a integer); INSERT INTO t VALUES (1); GRANT SELECT ON t TO reader`)
	exec1(t, server.DSN("granted"), `GRANT SELECT ON pg_catalog.pg_authid TO reader;
		GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_tmpdir() TO reader;
		REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC`)
	c, files := dump(t, "", source{"granted", holdfast.App, server.DSN("granted")}, quick)
	exec1(t, away.DSN("postgres"), `CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN;
		CREATE ROLE restorer LOGIN CREATEDB IN ROLE app; GRANT pg_monitor TO restorer`)
	for role, want := range map[string]int{"postgres": 0, "restorer": 3} {
		var heard eventtest.Record
		if _, err := loadWith(t, "", away.DSNAs(role, "postgres"), "for "+role, c, files,
			postgres.LoadOptions{Events: heard.Hear}); err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		left := eventtest.Of[postgres.GrantLeftOut](&heard)
		if len(left) != want {
			t.Errorf("%s: left out %d, want %d: %v", role, len(left), want, left)
		}
		for _, e := range left {
			t.Log(e)
			if !strings.Contains(e.Statement, "pg_catalog.") || !strings.Contains(e.String(), "As a superuser there: "+e.Statement) {
				t.Errorf("%s: %s", role, e)
			}
		}
		if got := one[bool](t, away.DSN("for "+role), `SELECT has_table_privilege('reader', 't', 'SELECT')`); !got {
			t.Errorf("%s: the reader lost its right", role)
		}
	}
}
