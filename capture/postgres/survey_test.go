package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/internal/splicetest"
	"holdfast/target"
)

// demanding is a database with what a role that is no superuser cannot bring
// back, a CHECK that holds no more, and a setting that not everybody sets.
const demanding = `
	CREATE SCHEMA s AUTHORIZATION app;
	CREATE TABLE s.o (id int PRIMARY KEY); ALTER TABLE s.o OWNER TO app; INSERT INTO s.o VALUES (1);
	CREATE TABLE s.offers (until timestamptz CONSTRAINT open CHECK (until > now())); ALTER TABLE s.offers OWNER TO app;
	INSERT INTO s.offers VALUES (now() + '50ms');
	CREATE FUNCTION s.note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; ALTER FUNCTION s.note() OWNER TO app;
	CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION s.note(); COMMENT ON EVENT TRIGGER note IS 'who';
	CREATE FUNCTION s.sure(n int, x text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true';
	COMMENT ON FUNCTION s.sure(int, text) IS 'very'; GRANT EXECUTE ON FUNCTION s.sure(int, text) TO PUBLIC;
	ALTER FUNCTION s.sure(int, text) OWNER TO app;
	CREATE PUBLICATION everything FOR TABLES IN SCHEMA s; COMMENT ON PUBLICATION everything IS 'all';
	ALTER DATABASE managed SET log_statement_stats = on;
	ALTER DATABASE managed SET work_mem = '8MB'`

// A role that is no superuser learns before anything is built what it cannot
// bring back, and builds the rest when that is left out by name.
func TestWhatASuperuserMakesIsNamedAndLeftOut(t *testing.T) {
	version := packaged()
	if version == "" {
		t.Skip("needs HOLDFAST_TEST_PG with a server of version 16")
	}
	server := splicetest.NewServer(t, version)
	name := extension(t, server, jobs)
	exec1(t, server.DSN("postgres"), `CREATE ROLE app LOGIN CREATEDB; CREATE ROLE restorer LOGIN CREATEDB IN ROLE app`)
	exec1(t, server.DSN("postgres"), `CREATE DATABASE managed OWNER app`)
	exec1(t, server.DSN("managed"), demanding+`; CREATE EXTENSION `+name+`; INSERT INTO hf_job (name) VALUES ('kept')`)
	c, files := dump(t, version, source{"app", holdfast.App, server.DSN("managed")}, postgres.Options{})

	all := []string{"extension " + name, "event trigger note", "function s.sure(integer, text)", "publication everything", "constraint open on s.offers"}
	if got := c.Database.Needs.Optional(); !slices.Equal(got, all) {
		t.Fatalf("can be left out: %q", got)
	}
	as := server.DSNAs("restorer", "postgres")
	fit, err := load(t, version, as, "never", c, files)
	if holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("it was built: %v", err)
	}
	for _, want := range all[:4] {
		if !strings.Contains(err.Error(), want) || !strings.Contains(advice(err), "--without '"+want+"'") {
			t.Errorf("nothing of %s: %v\n%s", want, err, advice(err))
		}
	}
	if !mentions(fit, "setting log_statement_stats") || mentions(fit, "setting work_mem") {
		t.Errorf("settings: %+v", fit.Differences)
	}
	if n := one[int](t, server.DSN("postgres"), `SELECT count(*) FROM pg_database WHERE datname = 'never'`); n != 0 {
		t.Error("something was built")
	}

	fit, err = loadWith(t, version, as, "back", c, files, postgres.LoadOptions{Without: all})
	if err != nil || !slices.Equal(fit.Without, all) {
		t.Fatalf("without them: %v, %v", fit.Without, err)
	}
	if n := one[int](t, server.DSN("back"), `SELECT (SELECT count(*) FROM s.offers) + (SELECT count(*) FROM s.o) + (SELECT count(*) FROM pg_event_trigger)
		+ (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_proc WHERE proname = 'sure') + (SELECT count(*) FROM pg_constraint WHERE conname = 'open')`); n != 2 {
		t.Errorf("%d rows and objects, want 2 rows", n)
	}
}

// mentions reports whether a difference speaks of something.
func mentions(fit target.Compatibility, what string) bool {
	return slices.ContainsFunc(fit.Differences, func(d target.Difference) bool { return strings.Contains(d.What, what) })
}

// What a server lacks is known before anything is built on it.
func TestASurveyNamesWhatAServerLacks(t *testing.T) {
	server := splicetest.NewServer(t, "")
	exec1(t, server.DSN("postgres"), `CREATE ROLE boss SUPERUSER`)
	exec1(t, server.DSN("postgres"), `CREATE DATABASE lacking`)
	exec1(t, server.DSN("lacking"), `CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
		CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note(); ALTER EVENT TRIGGER note OWNER TO boss`)
	c, files := dump(t, "", source{"app", holdfast.App, server.DSN("lacking")}, postgres.Options{})
	if fit, err := load(t, "", server.DSN("postgres"), "same", c, files); err != nil || len(fit.Differences) > 0 {
		t.Errorf("where it came from: %+v, %v", fit.Differences, err)
	}
	exec1(t, server.DSN("postgres"), `ALTER ROLE boss NOSUPERUSER`)
	n := *c.Database.Needs
	n.Extensions = append(n.Extensions, holdfast.Extension{Name: "provider_mgmt", Version: "1.0"})
	n.Locales = append(slices.Clone(n.Locales), holdfast.Locale{Collation: "public.x", Made: true, Provider: "libc", Collate: "xx_XX.utf8", CType: "xx_XX.utf8"},
		holdfast.Locale{Collation: `pg_catalog."xx-x-icu"`, Provider: "icu", Collate: "xx"})
	n.Settings = append(n.Settings, "no_such_parameter", "timezone")
	c.Database.Needs = &n
	fit, err := load(t, "", server.DSN("postgres"), "never", c, files)
	if holdfast.ClassOf(err) != holdfast.Refused {
		t.Fatalf("it was built: %v", err)
	}
	for _, want := range []string{"extension provider_mgmt 1.0 is not available", "event trigger note belongs to boss",
		"collation public.x", `collation pg_catalog."xx-x-icu"`, "setting no_such_parameter"} {
		if !mentions(fit, want) {
			t.Errorf("nothing of %q: %+v", want, fit.Differences)
		}
	}
	if len(fit.Differences) != 5 {
		t.Errorf("%+v", fit.Differences)
	}
}
